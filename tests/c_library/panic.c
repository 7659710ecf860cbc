/* Calls a function that panics inside the library, which only a library built with the feature `panic-test` has. Exit status:
 * 3 if the call returns BEITLE_INTERNAL_ERROR with a message, 4 if the library calls beitle_panicked. Otherwise the panic ends
 * the program by abort. */
#include "beitle.h"

#include <stdlib.h>
#include <string.h>

beitle_status beitle_panic_test(char *message, size_t message_bytes);

void beitle_panicked(void) { exit(4); }

int main(void) {
    char message[100] = "";
    beitle_status status = beitle_panic_test(message, sizeof message);
    return status == BEITLE_INTERNAL_ERROR && strstr(message, "internal error") != NULL ? 3 : 1;
}
