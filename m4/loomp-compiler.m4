dnl SPDX-License-Identifier: MIT
dnl The compiler: C17 with GNU extensions and atomics, warnings, sanitizers.

dnl LOOMP_C17
dnl ---------
dnl Sets C17_CFLAGS or stops.
AC_DEFUN([LOOMP_C17], [
    AC_MSG_CHECKING([for C17 with atomics and thread-local variables])
    loomp_saved_CFLAGS=$CFLAGS
    C17_CFLAGS=-std=gnu17
    CFLAGS="$CFLAGS $C17_CFLAGS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[
        #include <stdatomic.h>
        #include <stdint.h>
        #if __STDC_VERSION__ < 201710L
        #error "older than C17"
        #endif
        static _Thread_local int mine;
        static _Atomic uint64_t shared;
    ]], [[
        mine = (int)atomic_fetch_add_explicit(&shared, 1, memory_order_acq_rel);
        return mine;
    ]])],
    [AC_MSG_RESULT([yes, with $CC $C17_CFLAGS])],
    [AC_MSG_RESULT([no])
     AC_MSG_ERROR([$CC does not compile C17; clang 14 or gcc 12 and newer do (Debian: clang, Fedora: clang, Spack: llvm +clang).])])
    CFLAGS=$loomp_saved_CFLAGS
    AC_SUBST([C17_CFLAGS])
])

dnl LOOMP_WARNINGS
dnl --------------
dnl Warnings are for everyone, warnings as errors only for those who work on loomp.
AC_DEFUN([LOOMP_WARNINGS], [
    WARNING_CFLAGS="-Wall -Wextra"
    AC_ARG_ENABLE([werror],
        [AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])],
        [], [enable_werror=no])
    AS_IF([test "$enable_werror" != no], [WARNING_CFLAGS="$WARNING_CFLAGS -Werror"])
    AC_SUBST([WARNING_CFLAGS])
])

dnl LOOMP_SANITIZER
dnl ---------------
dnl Sets SANITIZER (a list as given, or empty) and SANITIZER_FLAGS, for compiling and linking.
AC_DEFUN([LOOMP_SANITIZER], [
    AC_ARG_ENABLE([sanitizer],
        [AS_HELP_STRING([--enable-sanitizer=LIST],
            [compile with sanitizers: "address,undefined" or "thread"])],
        [], [enable_sanitizer=no])
    SANITIZER=
    SANITIZER_FLAGS=
    AS_CASE([$enable_sanitizer],
        [no], [],
        [yes], [AC_MSG_ERROR([--enable-sanitizer needs a list: address,undefined or thread.])],
        [SANITIZER=$enable_sanitizer
         SANITIZER_FLAGS="-fsanitize=$SANITIZER -fno-omit-frame-pointer"
         AS_CASE([,$SANITIZER,], [*,undefined,*],
             [SANITIZER_FLAGS="$SANITIZER_FLAGS -fno-sanitize-recover=undefined"])
         AC_MSG_CHECKING([whether $CC links with -fsanitize=$SANITIZER])
         loomp_saved_CFLAGS=$CFLAGS
         CFLAGS="$CFLAGS $SANITIZER_FLAGS"
         AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
             [AC_MSG_RESULT([yes])],
             [AC_MSG_RESULT([no])
              AC_MSG_ERROR([$CC cannot link with -fsanitize=$SANITIZER; install its run-time library (Debian: libclang-rt-14-dev or that of your clang, Fedora: compiler-rt, Spack: llvm +compiler-rt).])])
         CFLAGS=$loomp_saved_CFLAGS])
    AC_SUBST([SANITIZER])
    AC_SUBST([SANITIZER_FLAGS])
])
