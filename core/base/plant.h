/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults planted on purpose, to prove that the simulator finds them, or the exhaustive
 * worlds do (20 to 24); and peers that lie, for a ring of processes (17 to 19). PLANTED(n) is 0,
 * and what it guards is nothing, unless a file is compiled with -DPLANT=n for that test. */
#ifndef BASE_PLANT_H
#define BASE_PLANT_H

#ifdef PLANT
#define PLANTED(n) (PLANT == (n))
#else
#define PLANTED(n) 0
#endif

#endif
