dnl SPDX-License-Identifier: MIT
dnl The libraries, each tried by compiling and linking a program against it.

dnl LOOMP_LIBRARY(NAME, VARIABLE, MODULE, LIBS, SENTENCE, PROLOGUE, BODY)
dnl ---------------------------------------------------------------------
dnl Sets VARIABLE_CFLAGS, VARIABLE_LIBS (unless the user gave them), have_NAME and
dnl loomp_missing_NAME, which is SENTENCE where the library is missing. pkg-config's module MODULE
dnl is asked first; where it does not exist LIBS is tried as it is.
AC_DEFUN([LOOMP_LIBRARY], [
    AC_ARG_VAR([$2_CFLAGS], [compiler flags for $1, instead of those found])
    AC_ARG_VAR([$2_LIBS], [linker flags for $1, instead of those found])
    AC_MSG_CHECKING([for $1])
    AS_IF([test -z "$$2_LIBS$$2_CFLAGS"], [
        AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists $3 2>/dev/null], [
            $2_CFLAGS=`$PKG_CONFIG --cflags $3`
            $2_LIBS=`$PKG_CONFIG --libs $3`
        ], [
            $2_LIBS="$4"
        ])
    ])
    loomp_saved_CPPFLAGS=$CPPFLAGS
    loomp_saved_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $$2_CFLAGS"
    LIBS="$$2_LIBS $LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([$6], [$7])],
        [have_$1=yes
         loomp_missing_$1=
         AC_MSG_RESULT([yes])],
        [have_$1=no
         loomp_missing_$1="$5"
         AC_MSG_RESULT([no])])
    CPPFLAGS=$loomp_saved_CPPFLAGS
    LIBS=$loomp_saved_LIBS
])

dnl LOOMP_REQUIRED(NAME): stops where it is missing.
AC_DEFUN([LOOMP_REQUIRED],
    [AS_IF([test "$have_$1" = no], [AC_MSG_ERROR([$loomp_missing_$1])])])

AC_DEFUN([LOOMP_DEPENDENCIES], [
    LOOMP_LIBRARY([libev], [LIBEV], [libev], [-lev],
        [libev 4 is missing or does not link (Debian: libev-dev, Fedora: libev-devel, Spack: libev).],
        [[
            #include <ev.h>
            #if EV_VERSION_MAJOR < 4
            #error "too old"
            #endif
            static void wake(struct ev_loop *loop, ev_async *async, int events)
            {
                (void)loop;
                (void)async;
                (void)events;
            }
        ]], [[
            ev_async async;
            struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
            ev_async_init(&async, wake);
            ev_async_start(loop, &async);
            ev_async_send(loop, &async);
            ev_run(loop, EVRUN_NOWAIT);
            ev_loop_destroy(loop);
        ]])
    LOOMP_REQUIRED([libev])

    LOOMP_LIBRARY([hwloc], [HWLOC], [hwloc], [-lhwloc],
        [hwloc 2.5 or newer is missing or does not link (Debian: libhwloc-dev, Fedora: hwloc-devel, Spack: hwloc).],
        [[
            #include <hwloc.h>
            #if HWLOC_API_VERSION < 0x00020500
            #error "too old"
            #endif
        ]], [[
            hwloc_topology_t topology;
            if (hwloc_topology_init(&topology) == 0) {
                hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
                hwloc_topology_destroy(topology);
            }
        ]])
    LOOMP_REQUIRED([hwloc])

    LOOMP_LIBRARY([libconfig], [LIBCONFIG], [libconfig], [-lconfig],
        [libconfig 1.5 or newer is missing or does not link (Debian: libconfig-dev, Fedora: libconfig-devel, Spack: libconfig).],
        [[
            #include <libconfig.h>
            #if LIBCONFIG_VER_MAJOR * 100 + LIBCONFIG_VER_MINOR < 105
            #error "too old"
            #endif
        ]], [[
            config_t config;
            config_init(&config);
            config_read_string(&config, "a = 1;");
            config_destroy(&config);
        ]])
    LOOMP_REQUIRED([libconfig])

    LOOMP_LIBRARY([cunit], [CUNIT], [cunit], [-lcunit],
        [CUnit is missing or does not link (Debian: libcunit1-dev, Fedora: CUnit-devel, Spack: cunit); loomp builds without it but its tests do not.],
        [[
            #include <CUnit/Basic.h>
        ]], [[
            if (CU_initialize_registry() == CUE_SUCCESS) {
                CU_basic_run_tests();
                CU_cleanup_registry();
            }
        ]])

    LOOMP_LIBRARY([libmicrohttpd], [LIBMICROHTTPD], [libmicrohttpd], [-lmicrohttpd],
        [libmicrohttpd 0.9.70 or newer is missing or does not link (Debian: libmicrohttpd-dev, Fedora: libmicrohttpd-devel, Spack: libmicrohttpd).],
        [[
            #include <microhttpd.h>
            #if MHD_VERSION < 0x00097000
            #error "too old"
            #endif
        ]], [[
            return MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_NO;
        ]])

    LOOMP_LIBRARY([libxxhash], [LIBXXHASH], [libxxhash], [-lxxhash],
        [libxxhash 0.8 or newer is missing or does not link (Debian: libxxhash-dev, Fedora: xxhash-devel, Spack: xxhash).],
        [[
            #include <xxhash.h>
            #if XXH_VERSION_NUMBER < 800
            #error "too old"
            #endif
        ]], [[
            return (int)XXH3_128bits("", 0).low64;
        ]])

    AC_SUBST([CUNIT_MISSING], [$loomp_missing_cunit])
])
