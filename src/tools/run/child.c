/* SPDX-License-Identifier: MIT */
/* Owns the child of --verify, and that loomp-run seems not to be there: signals go on to the child,
 * its end becomes loomp-run's. */
#include "tools/run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything but what is loomp-run's own (faults) and what stops the whole process group: loomp-run
 * stops with its child. SIGCONT goes on by the time it is read. */
static void signals_to_forward(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGSYS,
                              SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
    sigfillset(set);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        sigdelset(set, own[i]);
    }
}

int run_exec_failure(const char *program, int error)
{
    return run_failure(error == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE, "%s: %s", program,
                       strerror(error));
}

/* In the child. The error of a failed exec goes through the pipe, which a successful one closes. */
static _Noreturn void become(const struct run_child *child, int report, char *const *program,
                             char **environment, pid_t parent)
{
    /* killed together: nobody else would know of the child */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent) {
        sigprocmask(SIG_SETMASK, &child->before, NULL);
        execvpe(program[0], program, environment);
    }
    int error = errno;
    ssize_t written = write(report, &error, sizeof error);
    _exit(written == sizeof error ? RUN_NOT_EXECUTABLE : RUN_FAILED);
}

int run_child_start(struct run_child *child, char *const *program, char **environment)
{
    sigset_t forwarded;
    int report[2];
    signals_to_forward(&forwarded);
    /* one that was ignored would be taken away without a word */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &forwarded, &child->before);
    child->signals = signalfd(-1, &forwarded, SFD_CLOEXEC | SFD_NONBLOCK);
    if (child->signals < 0 || pipe2(report, O_CLOEXEC)) {
        return run_failure(RUN_FAILED, "no descriptor to watch the program with: %s",
                           strerror(errno));
    }
    pid_t parent = getpid();
    child->pid = fork();
    if (child->pid == 0) {
        become(child, report[1], program, environment, parent);
    }
    int fork_error = errno;
    close(report[1]);
    if (child->pid < 0) {
        close(report[0]);
        return run_failure(RUN_FAILED, "no process for the program: %s", strerror(fork_error));
    }
    int error = 0;
    ssize_t bytes = read(report[0], &error, sizeof error);
    close(report[0]);
    if (bytes == sizeof error) {
        waitpid(child->pid, NULL, 0);
        return run_exec_failure(program[0], error);
    }
    return 0;
}

static bool has_ended(const struct run_child *child)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == child->pid;
}

/* What the terminal sends goes to the whole process group, the child too; the rest was meant for
 * the program. */
static void forward(const struct run_child *child)
{
    struct signalfd_siginfo info;
    while (read(child->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD && info.ssi_code != SI_KERNEL) {
            kill(child->pid, (int)info.ssi_signo);
        }
    }
}

/* A child that has stopped by itself stops loomp-run, so that a shell has its terminal back. Each
 * stop is taken once: the child may be left stopped by whoever continues loomp-run alone for the
 * time until the SIGCONT is passed on. */
static void stop_with(const struct run_child *child)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)child->pid, &info, WSTOPPED | WNOHANG) == 0 &&
        info.si_pid == child->pid) {
        void (*before)(int) = signal(info.si_status, SIG_DFL);
        raise(info.si_status);
        if (before != SIG_ERR) {
            signal(info.si_status, before);
        }
    }
}

bool run_child_wait(struct run_child *child, int timeout_ms)
{
    struct pollfd signals = {.fd = child->signals, .events = POLLIN};
    do {
        if (poll(&signals, 1, timeout_ms) > 0) {
            forward(child);
        }
        if (has_ended(child)) {
            return true;
        }
        stop_with(child);
    } while (timeout_ms < 0);
    return false;
}

/* Dies by that signal, without a second core file. */
static int die_by(int number)
{
    struct rlimit none = {0};
    sigset_t set;
    setrlimit(RLIMIT_CORE, &none);
    signal(number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + number; /* the signal did not kill, as with some that are ignored by default */
}

int run_child_end(struct run_child *child, int instead)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    close(child->signals);
    if (WIFSIGNALED(status)) {
        return die_by(WTERMSIG(status));
    }
    return WEXITSTATUS(status) ? WEXITSTATUS(status) : instead;
}
