/* Threads for beitle_run that wait for work, instead of being created for every parallel step: a header to copy into a
 * program. In C, for POSIX threads (define _POSIX_C_SOURCE as 200112L or later before any header) and the atomic functions
 * of GCC and Clang.
 *
 *     static struct pool pool;
 *     if (pool_open(&pool, 4) != 0) ...
 *     params.thread_pool = &pool.interface;
 *     ... beitle_run(...) ...
 *     pool_close(&pool);
 *
 * A frame consists of some 200 steps, and those of a small model take little longer than it takes to wake a thread. Two things
 * make the pool fast:
 *
 * - A thread that has finished a step first spins, and sleeps only if no other step follows soon. Between frames the
 *   threads sleep. Where other programs need the processors, too, fewer threads are faster.
 * - A step waits for nobody who has not begun to work on it. Once the thread that called `run` returns from `worker`, all
 *   tasks of the step are taken: a thread that is still asleep, or that runs something else, is left out.
 *
 * On processors with fast and slow cores, make a pool for the fast ones: the threads run where the thread that opens the pool
 * may run, so that `taskset -c 4-7 PROGRAM` or sched_setaffinity() before pool_open chooses their CPUs.
 *
 * A pool runs one step at a time, and none from inside another. After fork() the child needs a pool of its own. */
#ifndef POOL_H
#define POOL_H

#include "beitle.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define POOL_MAX_THREADS 64
/* How often a thread looks for the next step before it sleeps: for about 50 microseconds on an x86 processor of 2021. */
#define POOL_SPINS 2000

/* The gate of a step: the step's number in the upper half; a bit that is set while threads may still enter; and the number of
 * threads that are inside. */
#define POOL_STEP ((uint64_t)1 << 32)
#define POOL_OPEN ((uint64_t)1 << 31)
#define POOL_INSIDE (POOL_OPEN - 1)

struct pool {
    beitle_thread_pool interface; /* for beitle_run_params.thread_pool */

    /* Private. */
    pthread_t threads[POOL_MAX_THREADS];
    size_t thread_count; /* without the thread that calls beitle_run */
    uint64_t gate;       /* atomic */
    /* Of the current step. Written while nobody is inside the gate, read by those who are. */
    void (*worker)(void *argument);
    void *argument;
    uint32_t sleepers; /* atomic: threads that sleep or are about to */
    int closing;       /* of `lock` */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* the gate was opened, or the pool closes */
};

/* Tells the processor that this is a loop that waits. */
static inline void pool_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb"); /* many cores treat `yield` as no instruction */
#elif defined(__arm__) && __ARM_ARCH >= 7
    __asm__ __volatile__("yield");
#endif
}

/* Enters a step later than `last` if its gate is open. Returns its number, or `last`. */
static inline uint32_t pool_enter(struct pool *pool, uint32_t last) {
    uint64_t gate = __atomic_load_n(&pool->gate, __ATOMIC_SEQ_CST);
    while ((gate & POOL_OPEN) != 0 && (uint32_t)(gate >> 32) != last) {
        if (__atomic_compare_exchange_n(&pool->gate, &gate, gate + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return (uint32_t)(gate >> 32);
        }
    }
    return last;
}

/* Sleeps until a step later than `last` can be entered, and enters it. Returns `last` if the pool closes. */
static inline uint32_t pool_sleep(struct pool *pool, uint32_t last) {
    uint32_t step = last;
    pthread_mutex_lock(&pool->lock);
    /* Either `pool_run` sees this, or this thread sees the gate that `pool_run` has opened. */
    __atomic_add_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    while (!pool->closing && (step = pool_enter(pool, last)) == last) pthread_cond_wait(&pool->wake, &pool->lock);
    __atomic_sub_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->lock);
    return step;
}

static inline void *pool_thread(void *context) {
    struct pool *pool = context;
    uint32_t last = 0;
    for (;;) {
        uint32_t step = last;
        int spins;
        for (spins = 0; spins < POOL_SPINS && (step = pool_enter(pool, last)) == last; ++spins) pool_pause();
        if (step == last) step = pool_sleep(pool, last);
        if (step == last) return NULL;
        last = step;
        pool->worker(pool->argument);
        __atomic_sub_fetch(&pool->gate, 1, __ATOMIC_SEQ_CST);
    }
}

/* beitle_thread_pool.run. */
static inline void pool_run(void *context, void (*worker)(void *argument), void *argument) {
    struct pool *pool = context;
    uint64_t step = (__atomic_load_n(&pool->gate, __ATOMIC_SEQ_CST) & ~(POOL_STEP - 1)) + POOL_STEP;
    unsigned spins;
    pool->worker = worker;
    pool->argument = argument;
    __atomic_store_n(&pool->gate, step | POOL_OPEN, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    worker(argument);
    __atomic_and_fetch(&pool->gate, ~POOL_OPEN, __ATOMIC_SEQ_CST);
    for (spins = 0; (__atomic_load_n(&pool->gate, __ATOMIC_SEQ_CST) & POOL_INSIDE) != 0; ++spins) {
        if (spins < POOL_SPINS) {
            pool_pause();
        } else {
            sched_yield(); /* the thread inside may wait for this processor */
        }
    }
}

/* Only after a pool_open that returned 0, and not during a run. */
static inline void pool_close(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    while (pool->thread_count > 0) pthread_join(pool->threads[--pool->thread_count], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
}

/* Makes a pool of `workers` threads, 1 to POOL_MAX_THREADS, of which one is that which calls beitle_run. Returns 0, or an
 * error number. The pool must not move in memory. */
static inline int pool_open(struct pool *pool, size_t workers) {
    sigset_t all, old;
    int error = 0;
    if (workers < 1 || workers > POOL_MAX_THREADS) return EINVAL;
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->interface.workers = workers;
    pool->interface.run = pool_run;
    pool->interface.context = pool;
    /* Signals must reach the program's own threads. New threads inherit the mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (error == 0 && pool->thread_count + 1 < workers) {
        error = pthread_create(&pool->threads[pool->thread_count], NULL, pool_thread, pool);
        if (error == 0) ++pool->thread_count;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error != 0) pool_close(pool);
    return error;
}

#endif
