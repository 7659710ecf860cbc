#include "report.h"

#include <stdarg.h>
#include <stdio.h>

int report(const char *subject, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "camera: %s: ", subject);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return -1;
}
