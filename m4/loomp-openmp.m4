dnl SPDX-License-Identifier: MIT
dnl LLVM's OpenMP runtime, libomp: where it is, that it is new enough, and that it is the only one.
dnl
dnl loomp compiles with the compiler's OpenMP flag but links libomp by name and without that flag,
dnl because with it gcc would add its own runtime, libgomp; two runtimes in one process each keep a
dnl team of their own, and loomp's would not be the one the application's pragmas reach.

dnl A program that only works on one libomp >= 14: omp_aligned_calloc came with that version,
dnl kmp_get_blocktime exists in LLVM's runtime only, and the maps of the process tell whether some
dnl library brought libgomp along, and whether libomp is the one of the directory in argv[1] (another
dnl version may be in the loader's path). Exit status 3: libgomp is there; 4: no team of two; 5:
dnl another libomp.
m4_define([LOOMP_OPENMP_PROGRAM], [AC_LANG_SOURCE([[
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *omp_aligned_calloc(size_t, size_t, size_t, omp_allocator_handle_t);
extern int kmp_get_blocktime(void);

int main(int argc, char **argv)
{
    char line[4096];
    char wanted[4096] = "";
    int threads = 0;
    int other = 0;
    FILE *maps;

    if (argc > 99) {
        return omp_aligned_calloc(64, 1, 64, omp_default_mem_alloc) == NULL
            || kmp_get_blocktime() < 0;
    }
    #pragma omp parallel num_threads(2) reduction(+ : threads)
    threads += 1;
    if (argc > 1) {
        snprintf(line, sizeof line, "%s/libomp.so", argv[1]);
        if (realpath(line, wanted) == NULL) {
            wanted[0] = 0;
        }
    }
    maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "libgomp.so.1") != NULL) {
            return 3;
        }
        if (strstr(line, "/libomp") != NULL && strstr(line, ".so") != NULL
            && strstr(line, wanted) == NULL) {
            other = 1;
        }
    }
    return threads != 2 ? 4 : other ? 5 : 0;
}
]])])

dnl LOOMP_TRY_LIBOMP(LIBS, DIRECTORY)
dnl ---------------------------------
dnl Compiles with OPENMP_CFLAGS, links with LIBS and without OPENMP_CFLAGS, runs. The result, in
dnl loomp_libomp_result, is "works", "needs-rpath" (links, but the libomp of DIRECTORY is not the one
dnl found when it runs), "libgomp", "odd" or "no".
AC_DEFUN([LOOMP_TRY_LIBOMP], [
    loomp_libomp_result=no
    loomp_saved_CPPFLAGS=$CPPFLAGS
    CPPFLAGS="$CPPFLAGS $OPENMP_CFLAGS"
    AC_COMPILE_IFELSE([LOOMP_OPENMP_PROGRAM], [
        AS_ECHO(["link: $CC $CFLAGS $LDFLAGS conftest.$ac_objext $1 $LIBS"]) >&AS_MESSAGE_LOG_FD
        AS_IF([$CC $CFLAGS $LDFLAGS -o conftest$EXEEXT conftest.$ac_objext $1 $LIBS >&AS_MESSAGE_LOG_FD 2>&1], [
            loomp_libomp_result=works
            AS_IF([LC_ALL=C $OBJDUMP -p conftest$EXEEXT 2>/dev/null | grep 'NEEDED.*libgomp' >/dev/null],
                [loomp_libomp_result=libgomp],
                [test "$cross_compiling" = no], [
                    (
                        unset OMP_THREAD_LIMIT OMP_DYNAMIC OMP_MAX_ACTIVE_LEVELS KMP_LIBRARY
                        exec ./conftest$EXEEXT $2
                    ) >&AS_MESSAGE_LOG_FD 2>&1
                    loomp_status=$?
                    AS_ECHO(["run: exit status $loomp_status"]) >&AS_MESSAGE_LOG_FD
                    AS_CASE([$loomp_status],
                        [0], [],
                        [3], [loomp_libomp_result=libgomp],
                        [5|127], [loomp_libomp_result=needs-rpath],
                        [loomp_libomp_result=odd])
                ])
        ])
    ])
    CPPFLAGS=$loomp_saved_CPPFLAGS
])

dnl LOOMP_OPENMP
dnl ------------
dnl Sets OPENMP_CFLAGS (for compiling only: never give it to the linker), LIBOMP_LIBS (for libtool),
dnl LIBOMP_PC_LIBS (for loomp.pc, whose users do give the flag to the linker), libomp_where.
AC_DEFUN([LOOMP_OPENMP], [
    AC_ARG_WITH([libomp],
        [AS_HELP_STRING([--with-libomp=DIR],
            [use the libomp.so in DIR (or DIR/lib) instead of the newest one found])],
        [], [with_libomp=])
    m4_define([LOOMP_LIBOMP_PACKAGES],
        [(Debian: libomp-dev, Fedora: libomp-devel, Spack: llvm-openmp)])

    dnl omp.h: the compiler's own, or for a clang without one that of another LLVM. -idirafter, so
    dnl that nothing else is taken from there.
    AC_MSG_CHECKING([for the flag that makes $CC compile OpenMP])
    OPENMP_CFLAGS=
    loomp_saved_CPPFLAGS=$CPPFLAGS
    loomp_omp_includes=`ls -d /usr/lib/llvm-*/lib/clang/*/include/omp.h 2>/dev/null | sort -V -r | $SED 's,/omp.h$,,'`
    AS_IF([test -n "$with_libomp"],
        [loomp_omp_includes="$with_libomp/include $with_libomp/../include $loomp_omp_includes"])
    for loomp_dir in compiler $loomp_omp_includes; do
        loomp_try="-fopenmp -idirafter $loomp_dir"
        test "$loomp_dir" = compiler && loomp_try=-fopenmp
        CPPFLAGS="$loomp_saved_CPPFLAGS $loomp_try"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
            #include <omp.h>
            #ifndef _OPENMP
            #error "the flag does nothing"
            #endif
        ]], [[return omp_get_max_threads();]])],
        [OPENMP_CFLAGS=$loomp_try
         break])
    done
    CPPFLAGS=$loomp_saved_CPPFLAGS
    AS_IF([test -z "$OPENMP_CFLAGS"],
        [AC_MSG_RESULT([none])
         AC_MSG_ERROR([$CC finds no omp.h; install LLVM's OpenMP runtime for it LOOMP_LIBOMP_PACKAGES.])])
    AC_MSG_RESULT([$OPENMP_CFLAGS])

    dnl Where libomp may be, best first. Debian keeps each version in its LLVM's own directory, out
    dnl of the linker's sight; elsewhere the compiler or the linker knows.
    AS_IF([test -n "$with_libomp"], [
        loomp_libomp_dirs=
        for loomp_dir in "$with_libomp" "$with_libomp/lib" "$with_libomp/lib64"; do
            AS_IF([test -e "$loomp_dir/libomp.so"],
                [loomp_libomp_dirs="$loomp_libomp_dirs $loomp_dir"])
        done
        AS_IF([test -z "$loomp_libomp_dirs"],
            [AC_MSG_ERROR([--with-libomp: there is no libomp.so in $with_libomp, its lib or its lib64.])])
    ], [
        loomp_libomp_dirs=`ls -d /usr/lib/llvm-*/lib/libomp.so 2>/dev/null | sort -V -r | $SED 's,/libomp.so$,,'`
        loomp_file=`$CC -print-file-name=libomp.so 2>/dev/null`
        AS_CASE([$loomp_file], [*/libomp.so],
            [loomp_libomp_dirs="$loomp_libomp_dirs `AS_DIRNAME(["$loomp_file"])`"])
        loomp_libomp_dirs="$loomp_libomp_dirs default"
    ])

    AC_MSG_CHECKING([for libomp 14 or newer])
    LIBOMP_LIBS=
    libomp_rpath=
    loomp_libomp_results=
    for loomp_dir in $loomp_libomp_dirs; do
        AS_IF([test "$loomp_dir" = default],
            [loomp_flags=-lomp
             loomp_expected=],
            [loomp_flags="-L$loomp_dir -lomp"
             loomp_expected=$loomp_dir])
        LOOMP_TRY_LIBOMP([$loomp_flags], [$loomp_expected])
        AS_IF([test "$loomp_libomp_result" = needs-rpath && test "$loomp_dir" != default], [
            libomp_rpath=$loomp_dir
            LOOMP_TRY_LIBOMP([$loomp_flags -Wl,--enable-new-dtags -Wl,-rpath,$loomp_dir], [$loomp_expected])
            AS_IF([test "$loomp_libomp_result" = works],
                [loomp_flags="-R$loomp_dir $loomp_flags"], [libomp_rpath=])
        ])
        loomp_libomp_results="$loomp_libomp_results $loomp_libomp_result"
        AS_IF([test "$loomp_libomp_result" = works], [
            LIBOMP_LIBS=$loomp_flags
            libomp_dir=$loomp_dir
            break
        ])
    done
    AS_IF([test -z "$LIBOMP_LIBS"], [
        AC_MSG_RESULT([no])
        AS_CASE([$loomp_libomp_results],
            [*libgomp*], [AC_MSG_ERROR([programs that $CC links get gcc's libgomp beside LLVM's libomp, which loomp refuses: take -fopenmp and -lgomp out of CFLAGS, LDFLAGS and LIBS.])],
            [*odd*], [AC_MSG_ERROR([libomp links but a region of two threads on it fails (config.log says how); name another with --with-libomp=DIR LOOMP_LIBOMP_PACKAGES.])],
            [AC_MSG_ERROR([LLVM's OpenMP runtime, libomp 14 or newer, is missing LOOMP_LIBOMP_PACKAGES; if it is somewhere unusual, give --with-libomp=DIR.])])
    ])
    AS_IF([test "$libomp_dir" = default],
        [libomp_where="in the linker's path"], [libomp_where="$libomp_dir"])
    AC_MSG_RESULT([$libomp_where])

    AC_MSG_CHECKING([whether omp.h declares LLVM's own functions])
    CPPFLAGS="$loomp_saved_CPPFLAGS $OPENMP_CFLAGS"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <omp.h>]], [[(void)kmp_set_defaults;]])],
        [loomp_kmp=1
         AC_MSG_RESULT([yes])],
        [loomp_kmp=0
         AC_MSG_RESULT([no, it is gcc's])])
    AC_DEFINE_UNQUOTED([HAVE_DECL_KMP_SET_DEFAULTS], [$loomp_kmp],
        [Whether omp.h declares kmp_set_defaults and its like.])
    CPPFLAGS=$loomp_saved_CPPFLAGS

    dnl For users of loomp.pc. libomp is named even where the linker is told to keep only what is
    dnl needed so far, so that it answers first for whatever the objects ask of OpenMP. At the end of
    dnl its command line gcc -fopenmp asks for -lgomp: where a libgomp.so beside libomp.so is an alias
    dnl of libomp, -L makes that the one found; where there is none, --as-needed drops gcc's,
    dnl because nothing is left to ask of it.
    LIBOMP_PC_LIBS="-Wl,--push-state,--no-as-needed -lomp -Wl,--pop-state"
    AS_IF([test "$libomp_dir" != default],
        [LIBOMP_PC_LIBS="-L$libomp_dir $LIBOMP_PC_LIBS"])
    AS_IF([test ! -e "$libomp_dir/libgomp.so"],
        [LIBOMP_PC_LIBS="$LIBOMP_PC_LIBS -Wl,--as-needed"])
    AS_IF([test -n "$libomp_rpath"],
        [LIBOMP_PC_LIBS="$LIBOMP_PC_LIBS -Wl,-rpath,$libomp_rpath"])

    AC_SUBST([OPENMP_CFLAGS])
    AC_SUBST([LIBOMP_LIBS])
    AC_SUBST([LIBOMP_PC_LIBS])
])
