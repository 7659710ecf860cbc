/* Runs many short parallel steps on the pool of the examples: every task once, no thread inside after a step. */
#define _POSIX_C_SOURCE 200809L

#include "../../examples/pool.h"

#include <stdio.h>
#include <time.h>

#define STEPS 20000

static int tasks, next_task;
static long done[8]; /* of each task; written by the thread that has taken it, without atomics */

static void worker(void *argument) {
    int task;
    (void)argument;
    while ((task = __atomic_fetch_add(&next_task, 1, __ATOMIC_RELAXED)) < tasks) ++done[task];
}

int main(void) {
    static struct pool pool;
    const struct timespec pause = {0, 3000000};
    long sum = 0, want = 0;
    int step, task;
    if (pool_open(&pool, 4) != 0) return 1;
    for (step = 0; step < STEPS; ++step) {
        tasks = 1 + step % 8;
        want += tasks;
        next_task = 0;
        pool.interface.run(pool.interface.context, worker, NULL);
        for (task = 0; task < tasks; ++task) sum += done[task];
        for (task = 0; task < 8; ++task) done[task] = 0;
        if (step % 2000 == 0) nanosleep(&pause, NULL); /* the threads fall asleep */
    }
    pool_close(&pool);
    printf("%ld of %ld tasks\n", sum, want);
    return sum == want ? 0 : 1;
}
