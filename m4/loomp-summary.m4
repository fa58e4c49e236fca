dnl SPDX-License-Identifier: MIT
dnl What configure decided, in a few lines at its end.

AC_DEFUN([LOOMP_SUMMARY], [
    AS_IF([test "$have_cunit" = yes],
        [loomp_tests="make check"], [loomp_tests="no: $loomp_missing_cunit"])
    AS_IF([test "$enable_examples" = no], [loomp_examples="no (--disable-examples)"],
        [loomp_examples=yes
         AS_IF([test "$have_libmicrohttpd" = yes], [],
            [loomp_examples="$loomp_examples, without solve-server: $loomp_missing_libmicrohttpd"])
         AS_IF([test "$have_libxxhash" = yes], [],
            [loomp_examples="$loomp_examples, without dups: $loomp_missing_libxxhash"])])
    AC_MSG_NOTICE([

    loomp $PACKAGE_VERSION for $host
      compiler     $CC $CFLAGS
      OpenMP       $OPENMP_CFLAGS, libomp: $libomp_where
      libraries    shared $enable_shared, static $enable_static
      sanitizer    ${SANITIZER:-none}
      warnings     $WARNING_CFLAGS
      examples     $loomp_examples
      tests        $loomp_tests
      installs to  $prefix
])
])
