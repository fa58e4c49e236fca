/* SPDX-License-Identifier: MIT */
/* Owns the course of a search. Its stages are walking, reading heads and reading whole files; what
 * a stage reads is read by SERIAL jobs in the pools of the devices, sorting in between is a job in
 * `compute`, and one loop coordinates.
 *
 * Threads: every field of the search belongs to the loop, but for those that say otherwise. A batch
 * belongs to the job that it contains from submission to `done`, and to the loop else. Pools are
 * opened by main, the only thread that may block: the loop asks for them in a mailbox. */
#include "search.h"

#include "content.h"
#include "device.h"
#include "progress.h"
#include "tree.h"

#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A job of loomp's costs a few microseconds, most of all where a sleeper has to be woken for its
 * result; a file whose head the kernel still has costs little more. So a job reads several. */
enum {
    ENTRIES_PER_JOB = 256,
    FILES_PER_JOB = 128,
    BYTES_PER_JOB = 1024 * 1024,
    BATCHES_PER_THREAD =
        4, /* so many jobs wait or run: the threads find the next without the loop */
    SOLID_STATE_THREADS = 16,
    REFUSALS = 100, /* ticks */
};

static const double tick_s = 0.1;

enum stage {
    WALKING,
    HEADS,
    WHOLES,
    ENDED,
};

struct batch {
    loomp_job job;
    struct lane *lane;
    struct batch *next;
    enum stage stage;
    struct tree tree;            /* tree.found: directories, to be read and not read */
    struct directory *read;      /* those that have been */
    struct directory *elsewhere; /* found, but on another device */
    struct file **files;
    size_t count;
};

/* A device: its pool and what waits for it. */
struct lane {
    struct lane *next; /* main's list */
    struct search *search;
    struct device device;
    loomp_pool *pool;
    unsigned threads;
    uint32_t index;
    bool registered; /* the loop knows it */
    bool refused;    /* by a full queue; a tick tries again */
    unsigned refusals;
    struct batch *idle;
    size_t under_way;
    struct directory *directories; /* to be read */
    struct file **files;           /* those of the stage that no job has got */
    struct file **files_end;
    size_t files_per_job;
    size_t batch_count;
    struct batch batches[];
};

/* A file system, as st_dev tells them apart; several may be on one device. */
struct volume {
    struct volume *next;
    struct volume *next_request; /* guarded by search.lock */
    dev_t dev;
    const char *path;              /* of a directory in it */
    struct lane *answer;           /* of main, which it posts */
    struct lane *lane;             /* NULL until then */
    struct directory *directories; /* that wait for it */
};

/* A buffer for whole files; while nobody has it, its first bytes lead to the next. */
struct buffer {
    struct buffer *next;
};

/* The directories that have been read: an open hash table of numbers. */
struct seen {
    struct seen_entry {
        dev_t dev;
        ino_t inode;
        bool used;
    } * entries;
    size_t room;
    size_t count;
};

struct search {
    loomp_runtime *runtime;
    loomp_loop *loop;
    struct search_options options;
    struct progress progress;
    ev_timer tick;
    ev_signal interrupt;
    ev_signal terminate;

    enum stage stage;
    bool sorting;      /* between two stages */
    bool over;         /* nothing is to be started any more */
    loomp_group group; /* the jobs of the stage */
    bool notified;     /* it tells when it is empty */
    loomp_job sort;

    struct volume *volumes;
    size_t volumes_unknown;
    struct lane **lanes;
    size_t lane_count;
    struct seen seen;
    struct directory *roots;
    struct arena roots_arena;
    size_t left_out;

    struct file **files; /* all; when joined, one per inode */
    size_t file_count;
    size_t file_room;
    bool joined;
    struct file **candidates; /* of the stage */
    size_t candidate_count;

    /* Added to by jobs, read by the loop; a figure that orders nothing. */
    _Atomic uint64_t bytes_done;

    pthread_mutex_t buffers_lock; /* guards `buffers` */
    struct buffer *buffers;

    /* The mailbox of main. */
    pthread_mutex_t lock; /* guards the four below and volume.next_request */
    pthread_cond_t changed;
    struct volume *requests;
    enum search_end end;
    bool has_ended;

    struct lane *opened; /* main's, from search_run to search_free */
};

static void feed(struct lane *lane);
static void settle(struct search *search);

/* --- messages -------------------------------------------------------------------------------- */

static void print_notices(struct search *search, struct notice *notice)
{
    for (; notice != NULL; notice = notice->next) {
        search->left_out++;
        progress_clear(&search->progress);
        fputs("dups: ", stderr);
        progress_path(notice->path);
        fprintf(stderr, ": %s\n", notice->reason != NULL ? notice->reason : strerror(notice->err));
    }
}

/* Tells main. The first reason counts. */
static void end(struct search *search, enum search_end how)
{
    search->over = true;
    pthread_mutex_lock(&search->lock);
    if (!search->has_ended) {
        search->has_ended = true;
        search->end = how;
    }
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
}

static void fail(struct search *search, const char *what)
{
    progress_clear(&search->progress);
    fprintf(stderr, "dups: %s\n", what);
    end(search, SEARCH_FAILED);
}

/* --- devices --------------------------------------------------------------------------------- */

static struct volume *find_volume(struct search *search, dev_t dev)
{
    struct volume *volume = search->volumes;

    while (volume != NULL && volume->dev != dev) {
        volume = volume->next;
    }
    return volume;
}

/* A file system is new: main is asked for its pool. */
static struct volume *add_volume(struct search *search, const struct directory *directory)
{
    struct volume *volume = calloc(1, sizeof *volume);

    if (volume == NULL) {
        return NULL;
    }
    volume->dev = directory->dev;
    volume->path = directory->path;
    volume->next = search->volumes;
    search->volumes = volume;
    search->volumes_unknown++;
    pthread_mutex_lock(&search->lock);
    volume->next_request = search->requests;
    search->requests = volume;
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
    return volume;
}

/* Puts a directory where it waits to be read. The caller feeds the lane. */
static void enqueue(struct search *search, struct directory *directory)
{
    struct volume *volume = find_volume(search, directory->dev);

    if (volume == NULL) {
        volume = add_volume(search, directory);
    }
    if (volume == NULL) {
        fail(search, "no memory");
        return;
    }
    struct directory **list =
        volume->lane != NULL ? &volume->lane->directories : &volume->directories;
    directory->next = *list;
    *list = directory;
}

static void enqueue_all(struct search *search, struct directory *directory)
{
    while (directory != NULL) {
        struct directory *next = directory->next;
        enqueue(search, directory);
        directory = next;
    }
}

static void feed_all(struct search *search)
{
    for (size_t i = 0; i < search->lane_count; i++) {
        feed(search->lanes[i]);
    }
}

static bool register_lane(struct search *search, struct lane *lane)
{
    struct lane **lanes = realloc(search->lanes, (search->lane_count + 1) * sizeof *lanes);

    if (lanes == NULL) {
        return false;
    }
    search->lanes = lanes;
    lane->index = (uint32_t)search->lane_count;
    lanes[search->lane_count++] = lane;
    lane->registered = true;
    if (search->options.verbose) {
        progress_clear(&search->progress);
        fprintf(stderr, "dups: pool %s: %s, %s, %u %s\n", lane->device.pool, lane->device.name,
                lane->device.rotational ? "rotational" : "not rotational", lane->threads,
                lane->threads == 1 ? "thread" : "threads");
    }
    return true;
}

/* Posted by main, with the answer in the volume. */
static void volume_known(loomp_loop *loop, void *arg)
{
    struct volume *volume = arg;
    struct lane *lane = volume->answer;
    struct search *search = lane->search;
    struct directory *directories = volume->directories;

    (void)loop;
    search->volumes_unknown--;
    if (!lane->registered && !register_lane(search, lane)) {
        fail(search, "no memory");
        return;
    }
    volume->lane = lane;
    volume->directories = NULL;
    enqueue_all(search, directories);
    feed(lane);
    settle(search);
}

/* --- walking --------------------------------------------------------------------------------- */

static bool seen_put(struct seen *seen, dev_t dev, ino_t inode)
{
    size_t at =
        (size_t)(((uint64_t)inode * 0x9e3779b97f4a7c15u) ^ (uint64_t)dev * 0xff51afd7ed558ccdu);

    for (at %= seen->room; seen->entries[at].used; at = (at + 1) % seen->room) {
        if (seen->entries[at].dev == dev && seen->entries[at].inode == inode) {
            return false;
        }
    }
    seen->entries[at] = (struct seen_entry){.dev = dev, .inode = inode, .used = true};
    seen->count++;
    return true;
}

/* 1: has not been seen before, 0: has been, -ENOMEM. */
static int seen_add(struct seen *seen, dev_t dev, ino_t inode)
{
    if (2 * seen->count >= seen->room) {
        struct seen larger = {.room = seen->room > 0 ? 2 * seen->room : 1024};
        larger.entries = calloc(larger.room, sizeof *larger.entries);
        if (larger.entries == NULL) {
            return -ENOMEM;
        }
        for (size_t i = 0; i < seen->room; i++) {
            if (seen->entries[i].used) {
                seen_put(&larger, seen->entries[i].dev, seen->entries[i].inode);
            }
        }
        free(seen->entries);
        *seen = larger;
    }
    return seen_put(seen, dev, inode) ? 1 : 0;
}

/* On the device's pool. Goes on with the directories that it finds there, so that a job is worth
 * its hand-over; what it leaves, others read. */
static void walk(struct batch *batch)
{
    size_t entries = 0;

    while (batch->tree.found != NULL && entries < ENTRIES_PER_JOB && !loomp_cancelled()) {
        struct directory *directory = batch->tree.found;
        struct directory *others = directory->next;
        batch->tree.found = NULL;
        entries += tree_read(&batch->tree, directory);
        directory->next = batch->read;
        batch->read = directory;
        while (batch->tree.found != NULL) {
            struct directory *found = batch->tree.found;
            struct directory **list = found->dev == directory->dev ? &others : &batch->elsewhere;
            batch->tree.found = found->next;
            found->next = *list;
            *list = found;
        }
        batch->tree.found = others;
    }
}

static bool add_files(struct search *search, const struct lane *lane, struct file *file)
{
    while (file != NULL) {
        struct file *next = file->next;
        if (search->file_count == search->file_room) {
            size_t room = search->file_room > 0 ? 2 * search->file_room : 4096;
            struct file **files = realloc(search->files, room * sizeof *files);
            if (files == NULL) {
                return false;
            }
            search->files = files;
            search->file_room = room;
        }
        /* A single file that is a mount of its own is read where its directory is. */
        file->lane = lane->index;
        search->files[search->file_count++] = file;
        file = next;
    }
    return true;
}

/* Where trees overlap or are mounted twice, the first visit of a directory counts. */
static void walked(struct batch *batch)
{
    struct search *search = batch->lane->search;
    struct directory *directory = batch->read;

    batch->read = NULL;
    for (; directory != NULL; directory = directory->next) {
        int fresh = seen_add(&search->seen, directory->dev, directory->inode);
        if (fresh < 0 || (fresh == 1 && !add_files(search, batch->lane, directory->files))) {
            fail(search, "no memory");
            break;
        }
    }
    enqueue_all(search, batch->elsewhere);
    enqueue_all(search, batch->tree.found);
    batch->elsewhere = NULL;
    batch->tree.found = NULL;
    search->progress.files = search->file_count;
}

/* --- reading --------------------------------------------------------------------------------- */

static void *take_buffer(struct search *search)
{
    pthread_mutex_lock(&search->buffers_lock);
    struct buffer *buffer = search->buffers;
    if (buffer != NULL) {
        search->buffers = buffer->next;
    }
    pthread_mutex_unlock(&search->buffers_lock);
    return buffer != NULL ? buffer : malloc(CONTENT_READ_BYTES);
}

static void give_buffer(struct search *search, void *bytes)
{
    struct buffer *buffer = bytes;

    if (buffer != NULL) {
        pthread_mutex_lock(&search->buffers_lock);
        buffer->next = search->buffers;
        search->buffers = buffer;
        pthread_mutex_unlock(&search->buffers_lock);
    }
}

static void leave_out(struct batch *batch, struct file *file, int err)
{
    file->state = FILE_LEFT_OUT;
    tree_notice(&batch->tree, file->in->path, file->name, -err,
                err == -ESTALE ? "has changed since it was found, and is left out" : NULL);
}

/* On the device's pool. */
static void read_files(struct batch *batch)
{
    char head[HEAD_BYTES];
    struct search *search = batch->lane->search;
    bool whole = batch->stage == WHOLES;
    struct content content = {
        .stop = loomp_cancelled,
        .bytes_done = &search->bytes_done,
        .buffer = whole ? take_buffer(search) : head,
    };

    for (size_t i = 0; i < batch->count && !loomp_cancelled(); i++) {
        struct file *file = batch->files[i];
        int err = content.buffer == NULL ? -ENOMEM
                  : whole                ? content_whole(file, &content)
                                         : content_head(file, &content);
        if (err < 0 && err != -ECANCELED) {
            leave_out(batch, file, err);
        }
    }
    if (whole) {
        give_buffer(search, content.buffer);
    }
}

/* --- jobs ------------------------------------------------------------------------------------ */

static int work(loomp_job *job)
{
    struct batch *batch = LOOMP_CONTAINER(job, struct batch, job);

    if (batch->stage == WALKING) {
        walk(batch);
    } else {
        read_files(batch);
    }
    return 0;
}

/* Also for a job that has been withdrawn, which leaves its directories unread. */
static void done(loomp_job *job, int status)
{
    struct batch *batch = LOOMP_CONTAINER(job, struct batch, job);
    struct lane *lane = batch->lane;
    struct search *search = lane->search;

    (void)status;
    print_notices(search, batch->tree.notices);
    batch->tree.notices = NULL;
    if (batch->stage == WALKING) {
        walked(batch);
    } else {
        search->progress.files += batch->count;
    }
    batch->next = lane->idle;
    lane->idle = batch;
    lane->under_way--;
    feed(lane);
}

/* Takes some of what waits. False if nothing does. */
static bool fill(struct batch *batch)
{
    struct lane *lane = batch->lane;
    size_t bytes = 0;

    batch->stage = lane->search->stage;
    if (batch->stage == WALKING) {
        batch->tree.found = lane->directories;
        if (batch->tree.found != NULL) {
            lane->directories = batch->tree.found->next;
            batch->tree.found->next = NULL;
        }
        return batch->tree.found != NULL;
    }
    batch->files = lane->files;
    batch->count = 0;
    while (lane->files < lane->files_end && batch->count < lane->files_per_job &&
           bytes < BYTES_PER_JOB) {
        bytes += batch->stage == HEADS ? HEAD_BYTES : (size_t)(*lane->files)->size;
        lane->files++;
        batch->count++;
    }
    return batch->count > 0;
}

/* Puts back what fill took. */
static void empty(struct batch *batch)
{
    struct lane *lane = batch->lane;

    if (batch->stage == WALKING) {
        batch->tree.found->next = lane->directories;
        lane->directories = batch->tree.found;
        batch->tree.found = NULL;
    } else {
        lane->files = batch->files;
    }
}

static void group_empty(loomp_group *group, int status, void *arg)
{
    struct search *search = arg;

    (void)group;
    (void)status;
    search->notified = false;
    settle(search);
}

/* Something of the stage is under way: the group tells when nothing is any more. */
static void ask_for_notice(struct search *search)
{
    if (!search->notified) {
        search->notified = true;
        if (loomp_group_notify(&search->group, search->loop, group_empty, search) < 0) {
            fail(search, loomp_error());
        }
    }
}

static void refused(struct lane *lane, int err)
{
    if (err == -EAGAIN && ++lane->refusals < REFUSALS) {
        lane->refused = true;
    } else {
        fail(lane->search, loomp_error());
    }
}

/* Starts jobs as far as there are idle batches and work for them. */
static void feed(struct lane *lane)
{
    struct search *search = lane->search;

    lane->refused = false;
    while (lane->idle != NULL && !search->over && !search->sorting) {
        struct batch *batch = lane->idle;
        if (!fill(batch)) {
            break;
        }
        loomp_job_init(&batch->job, work, done);
        batch->job.pool = lane->pool;
        batch->job.group = &search->group;
        batch->job.home = search->loop;
        batch->job.flags = LOOMP_MAY_WAIT;
        lane->idle = batch->next;
        lane->under_way++;
        int err = loomp_submit(search->runtime, &batch->job);
        if (err < 0) {
            lane->under_way--;
            lane->idle = batch;
            empty(batch);
            refused(lane, err);
            break;
        }
        /* The batch is the job's from here on. */
        lane->refusals = 0;
        ask_for_notice(search);
    }
}

/* --- from stage to stage --------------------------------------------------------------------- */

/* Joins the names of inodes, once. 0 or -ENOMEM. */
static int join_links(struct search *search)
{
    if (!search->joined) {
        ssize_t count =
            files_join_links(search->files, search->file_count, search->options.hard_links);
        if (count < 0) {
            return (int)count;
        }
        search->file_count = (size_t)count;
        search->joined = true;
    }
    return 0;
}

static ssize_t first_candidates(struct search *search)
{
    int err = join_links(search);

    if (err < 0) {
        return err;
    }
    search->candidates = malloc((search->file_count + 1) * sizeof *search->candidates);
    if (search->candidates == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < search->file_count; i++) {
        search->candidates[i] = search->files[i];
    }
    return files_keep_equal_sizes(search->candidates, search->file_count);
}

/* In `compute`: who is to be read next, in which order. */
static int sort(loomp_job *job)
{
    struct search *search = job->data;
    ssize_t count = search->stage == WALKING
                        ? first_candidates(search)
                        : files_keep_equal_heads(search->candidates, search->candidate_count);

    if (count >= 0) {
        search->candidate_count = (size_t)count;
        count = files_order_for_reading(search->candidates, search->candidate_count);
    }
    return count < 0 ? (int)count : 0;
}

/* Gives each lane its part of the candidates, which are sorted by lane. */
static void deal(struct search *search)
{
    struct file **file = search->candidates;
    struct file **end_ = file + search->candidate_count;

    for (size_t i = 0; i < search->lane_count; i++) {
        struct lane *lane = search->lanes[i];
        lane->files = file;
        while (file < end_ && (*file)->lane == lane->index) {
            file++;
        }
        lane->files_end = file;
        /* Few files are spread over all threads. */
        size_t share = (size_t)(file - lane->files) / (lane->batch_count + 1);
        lane->files_per_job = share < 1 ? 1 : share > FILES_PER_JOB ? FILES_PER_JOB : share;
    }
}

static void sorted(loomp_job *job, int status)
{
    struct search *search = job->data;
    uint64_t bytes = 0;

    search->sorting = false;
    if (status < 0) {
        if (status != -ECANCELED) {
            fail(search, loomp_strerror(status));
        }
        return;
    }
    search->stage++;
    for (size_t i = 0; i < search->candidate_count; i++) {
        uint64_t size = (uint64_t)search->candidates[i]->size;
        bytes += search->stage == HEADS && size > HEAD_BYTES ? HEAD_BYTES : size;
    }
    progress_draw(&search->progress,
                  atomic_load_explicit(&search->bytes_done, memory_order_relaxed));
    progress_begin(&search->progress, search->stage == HEADS ? "heads" : "whole files",
                   search->candidate_count, bytes);
    deal(search);
    feed_all(search);
    settle(search);
}

static void next_stage(struct search *search)
{
    if (search->stage == WHOLES) {
        search->stage = ENDED;
        end(search, SEARCH_COMPLETE);
        return;
    }
    search->sorting = true;
    loomp_job_init(&search->sort, sort, sorted);
    search->sort.data = search;
    search->sort.home = search->loop;
    if (loomp_submit(search->runtime, &search->sort) < 0) {
        search->sorting = false;
        fail(search, loomp_error());
    }
}

/* Goes on to the next stage if nothing of this one is left. While something is under way the
 * group's notice comes back here. */
static void settle(struct search *search)
{
    bool left = search->volumes_unknown > 0;

    if (search->over || search->sorting || search->notified) {
        return;
    }
    for (size_t i = 0; i < search->lane_count; i++) {
        const struct lane *lane = search->lanes[i];
        left |= lane->under_way > 0 || lane->directories != NULL || lane->files < lane->files_end;
    }
    if (!left) {
        next_stage(search);
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct search *search = timer->data;

    (void)ev;
    (void)events;
    for (size_t i = 0; i < search->lane_count; i++) {
        if (search->lanes[i]->refused) {
            feed(search->lanes[i]);
        }
    }
    if (!search->over) {
        progress_draw(&search->progress,
                      atomic_load_explicit(&search->bytes_done, memory_order_relaxed));
    }
}

static void on_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev;
    (void)events;
    end(watcher->data, SEARCH_INTERRUPTED);
}

static void stop_watchers(loomp_loop *loop, void *arg)
{
    struct search *search = arg;

    ev_timer_stop(loomp_loop_ev(loop), &search->tick);
    ev_signal_stop(loomp_loop_ev(loop), &search->interrupt);
    ev_signal_stop(loomp_loop_ev(loop), &search->terminate);
}

/* Posted by main. */
static void begin(loomp_loop *loop, void *arg)
{
    struct search *search = arg;
    struct ev_loop *ev = loomp_loop_ev(loop);

    if (loomp_loop_at_exit(loop, stop_watchers, search) < 0) {
        fail(search, loomp_error());
        return;
    }
    ev_timer_init(&search->tick, on_tick, tick_s, tick_s);
    ev_signal_init(&search->interrupt, on_signal, SIGINT);
    ev_signal_init(&search->terminate, on_signal, SIGTERM);
    search->tick.data = search->interrupt.data = search->terminate.data = search;
    ev_timer_start(ev, &search->tick);
    ev_signal_start(ev, &search->interrupt);
    ev_signal_start(ev, &search->terminate);

    progress_begin(&search->progress, "directories", 0, 0);
    enqueue_all(search, search->roots);
    settle(search);
}

/* --- main ------------------------------------------------------------------------------------ */

static unsigned threads_for(const struct search *search, const struct device *device)
{
    unsigned threads = device->rotational ? 1 : SOLID_STATE_THREADS;

    for (size_t i = 0; i < search->options.rule_count; i++) {
        struct pool_rule *rule = &search->options.rules[i];
        if (rule->name == NULL || strcmp(rule->name, device->pool) == 0) {
            rule->met = true;
            threads = rule->threads;
        }
    }
    return threads;
}

/* On all CPUs of the runtime: these threads mostly sleep. A pool of the settings may have the name
 * already, and is taken as it is. */
static int open_pool(struct search *search, struct lane *lane)
{
    struct loomp_pool_options options;
    char cpus[4096];
    int length = loomp_cpus(search->runtime, cpus, sizeof cpus);

    loomp_pool_options_init(&options);
    options.threads = lane->threads;
    options.blocking = 1;
    options.cpus = length < (int)sizeof cpus ? cpus : NULL;
    int err = loomp_pool_open(search->runtime, lane->device.pool, &options, &lane->pool);
    if (err == -EEXIST) {
        lane->pool = loomp_pool_named(search->runtime, lane->device.pool);
        err = 0;
    }
    if (err == 0) {
        lane->threads = (unsigned)loomp_pool_threads(lane->pool);
    }
    return err;
}

/* NULL if it cannot be had; then the reason has been printed. */
static struct lane *open_lane(struct search *search, const struct device *device)
{
    unsigned threads = threads_for(search, device);
    size_t batches = (size_t)threads * BATCHES_PER_THREAD;
    struct lane *lane = calloc(1, sizeof *lane + batches * sizeof *lane->batches);

    if (lane == NULL) {
        fprintf(stderr, "dups: no memory\n");
        return NULL;
    }
    lane->search = search;
    lane->device = *device;
    lane->threads = threads;
    lane->batch_count = batches;
    for (size_t i = 0; i < batches; i++) {
        lane->batches[i].lane = lane;
        lane->batches[i].tree.one_file_system = search->options.one_file_system;
        lane->batches[i].next = lane->idle;
        lane->idle = &lane->batches[i];
    }
    if (open_pool(search, lane) < 0) {
        fprintf(stderr, "dups: no pool for %s: %s\n", device->name, loomp_error());
        free(lane);
        return NULL;
    }
    lane->next = search->opened;
    search->opened = lane;
    return lane;
}

/* Finds the device of a file system and its lane, and tells the loop. */
static bool serve(struct search *search, struct volume *volume)
{
    struct device device;
    char path[PATH_MAX];

    device_of(&device, search->options.sysfs, search->options.mountinfo, volume->dev,
              realpath(volume->path, path) != NULL ? path : "");
    struct lane *lane = search->opened;
    while (lane != NULL && strcmp(lane->device.pool, device.pool) != 0) {
        lane = lane->next;
    }
    if (lane == NULL) {
        lane = open_lane(search, &device);
    }
    if (lane == NULL) {
        return false;
    }
    volume->answer = lane;
    if (loomp_post(search->loop, volume_known, volume) < 0) {
        fprintf(stderr, "dups: %s\n", loomp_error());
        return false;
    }
    return true;
}

static void add_root(struct search *search, const char *path)
{
    struct stat st;
    int err = stat(path, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    struct directory *directory =
        err == 0 ? tree_directory(&search->roots_arena, path, NULL) : NULL;

    if (directory == NULL) {
        struct notice *notice = calloc(1, sizeof *notice + strlen(path) + 1);
        if (notice != NULL) {
            notice->err = err != 0 ? err : ENOMEM;
            strcpy(notice->path, path);
            print_notices(search, notice);
            free(notice);
        }
        return;
    }
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/'; length--) {
        directory->path[length - 1] = '\0';
    }
    directory->dev = st.st_dev;
    directory->inode = st.st_ino;
    directory->is_root = true;
    directory->next = search->roots;
    search->roots = directory;
}

struct search *search_new(loomp_runtime *runtime, const struct search_options *options)
{
    struct search *search = calloc(1, sizeof *search);

    if (search == NULL) {
        return NULL;
    }
    search->runtime = runtime;
    search->loop = loomp_loop_at(runtime, 0);
    search->options = *options;
    search->progress.shown = !options->quiet && isatty(STDERR_FILENO);
    pthread_mutex_init(&search->buffers_lock, NULL);
    pthread_mutex_init(&search->lock, NULL);
    pthread_cond_init(&search->changed, NULL);
    return search;
}

enum search_end search_run(struct search *search, char *const *roots, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        add_root(search, roots[i]);
    }
    if (loomp_group_init(&search->group, search->runtime) < 0 ||
        loomp_post(search->loop, begin, search) < 0) {
        fprintf(stderr, "dups: %s\n", loomp_error());
        return SEARCH_FAILED;
    }
    pthread_mutex_lock(&search->lock);
    while (!search->has_ended) {
        struct volume *volume = search->requests;
        if (volume == NULL) {
            pthread_cond_wait(&search->changed, &search->lock);
            continue;
        }
        search->requests = volume->next_request;
        pthread_mutex_unlock(&search->lock);
        bool served = serve(search, volume);
        pthread_mutex_lock(&search->lock);
        if (!served && !search->has_ended) {
            search->has_ended = true;
            search->end = SEARCH_FAILED;
        }
    }
    enum search_end how = search->end;
    pthread_mutex_unlock(&search->lock);
    return how;
}

int search_groups(struct search *search, struct groups *groups)
{
    int err = join_links(search);

    progress_clear(&search->progress);
    return err < 0 ? err
                   : files_group(groups, search->files, search->file_count, search->options.empty);
}

size_t search_left_out(const struct search *search)
{
    return search->left_out;
}

void search_free(struct search *search)
{
    while (search->opened != NULL) {
        struct lane *lane = search->opened;
        search->opened = lane->next;
        for (size_t i = 0; i < lane->batch_count; i++) {
            arena_free(&lane->batches[i].tree.arena);
        }
        free(lane);
    }
    while (search->volumes != NULL) {
        struct volume *volume = search->volumes;
        search->volumes = volume->next;
        free(volume);
    }
    while (search->buffers != NULL) {
        struct buffer *buffer = search->buffers;
        search->buffers = buffer->next;
        free(buffer);
    }
    arena_free(&search->roots_arena);
    free(search->seen.entries);
    free(search->lanes);
    free(search->candidates);
    free(search->files);
    pthread_mutex_destroy(&search->buffers_lock);
    pthread_mutex_destroy(&search->lock);
    pthread_cond_destroy(&search->changed);
    free(search);
}
