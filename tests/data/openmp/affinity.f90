! SPDX-License-Identifier: MIT
! An OpenMP program in Fortran; OMP_DISPLAY_AFFINITY says where its threads are.
program affinity
    use omp_lib
    implicit none
    integer :: threads
    threads = 0
    !$omp parallel reduction(+ : threads)
    threads = threads + 1
    !$omp end parallel
    print '(a, i0)', 'threads ', threads
end program affinity
