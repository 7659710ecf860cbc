/* Threads for beitle_run that wait for work, instead of being created for every parallel step. */
#ifndef POOL_H
#define POOL_H

#include "beitle.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_MAX_THREADS 64

struct pool {
    beitle_thread_pool interface; /* for beitle_run_params.thread_pool */

    /* Private. */
    pthread_t threads[POOL_MAX_THREADS];
    size_t thread_count;            /* without the thread that calls beitle_run */
    pthread_mutex_t lock;           /* of the fields below */
    pthread_cond_t start;           /* a step starts, or the pool closes */
    pthread_cond_t idle;            /* `busy` is 0 again */
    void (*worker)(void *argument); /* of the current step; NULL: there is none, or it is almost complete */
    void *argument;
    uint64_t step; /* number of the current step */
    size_t busy;   /* threads that are in `worker` */
    int closing;
};

/* For `workers` threads, 1 to POOL_MAX_THREADS, of which one is that which calls beitle_run. Returns 0, or -1 after a
 * message. The pool must not move in memory. */
int pool_open(struct pool *pool, size_t workers);

/* Only after a successful pool_open. */
void pool_close(struct pool *pool);

#endif
