/* Messages on standard error. */
#ifndef REPORT_H
#define REPORT_H

/* Prints "camera: SUBJECT: MESSAGE". Returns -1, so that a function that fails can return the result. */
__attribute__((format(printf, 2, 3))) int report(const char *subject, const char *format, ...);

#endif
