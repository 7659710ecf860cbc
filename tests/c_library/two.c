/* Links two static libraries of Rust: libbeitle.a and other.rs. */
#include "beitle.h"

#include <stdio.h>

uint32_t other_add(uint32_t a, uint32_t b);

int main(void) {
    static beitle_engine engine;
    char message[100];
    int status = beitle_open(&engine, "not a model", 11, message, sizeof message);
    printf("%d %u\n", status, other_add(20, 22));
    return status == BEITLE_NOT_A_MODEL && other_add(20, 22) == 42 ? 0 : 1;
}
