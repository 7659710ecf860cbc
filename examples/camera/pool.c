#define _POSIX_C_SOURCE 200809L

#include "pool.h"
#include "report.h"

#include <signal.h>
#include <string.h>

static void *thread_main(void *context) {
    struct pool *pool = context;
    uint64_t last_step = 0;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        void (*worker)(void *);
        void *argument;
        while (!pool->closing && (pool->worker == NULL || pool->step == last_step)) {
            pthread_cond_wait(&pool->start, &pool->lock);
        }
        if (pool->closing) break;
        worker = pool->worker;
        argument = pool->argument;
        last_step = pool->step;
        ++pool->busy;
        pthread_mutex_unlock(&pool->lock);
        worker(argument);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0) pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* beitle_thread_pool.run. Once this thread returns from `worker`, all tasks of the step are taken: threads that have
 * not woken up yet are no longer needed, and it waits only for those that are in `worker`. */
static void run(void *context, void (*worker)(void *argument), void *argument) {
    struct pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    pool->worker = worker;
    pool->argument = argument;
    ++pool->step;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    worker(argument);
    pthread_mutex_lock(&pool->lock);
    pool->worker = NULL;
    while (pool->busy > 0) pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

int pool_open(struct pool *pool, size_t workers) {
    sigset_t all, old;
    int error = 0;
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->idle, NULL);
    pool->interface.workers = workers;
    pool->interface.run = run;
    pool->interface.context = pool;
    /* Signals must reach the main thread, to interrupt its waiting. New threads inherit the mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (error == 0 && pool->thread_count < workers - 1) {
        error = pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool);
        if (error == 0) ++pool->thread_count;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0) return 0;
    report("threads", "expected %zu, but one could not be created: %s", workers, strerror(error));
    pool_close(pool);
    return -1;
}

void pool_close(struct pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
    while (pool->thread_count > 0) pthread_join(pool->threads[--pool->thread_count], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
}
