/* Damages a rule's files in memory and reads every case of them by golden.h: ./damaged FOLDER RULE cut STEP, or ./damaged FOLDER RULE SEED COUNT.
 * With "cut" each file is cut off at every STEP-th byte; else COUNT times some bytes of one are others, left out or doubled.
 * Prints how many were read and how many refused; built with sanitizers, anything else that happens ends it otherwise. */
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* what golden.h allocates is freed after each file, and where it would end the program the file is refused */
static void **kept;
static size_t many, room;
static jmp_buf refused;

static void *keep(void *found) {
    if (many == room) kept = realloc(kept, (room = 2 * room + 64) * sizeof *kept);
    return kept[many++] = found;
}

static void freed(void) {
    while (many) free(kept[--many]);
}

#define DAMAGED
#define calloc(count, size) keep(calloc(count, size))
#define malloc(size) keep(malloc(size))
#define strndup(text, length) keep(strndup(text, length))
#define free(found) ((void)(found))
#define exit(code) longjmp(refused, code)
#define printf(...) ((void)0)
#define fprintf(...) ((void)0)
#include "every_file.c"
#undef calloc
#undef malloc
#undef strndup
#undef free
#undef exit
#undef printf
#undef fprintf

typedef struct { unsigned char *bytes; size_t size; } bytes;

static bytes copy(bytes of) { /* as large as it is, with a 0 after its end, so that a sanitizer sees what is read beyond */
    bytes made = {malloc(of.size + 1), of.size};
    memcpy(made.bytes, of.bytes, of.size), made.bytes[of.size] = 0;
    return made;
}

static uint64_t state;

static size_t drawn(size_t below) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (state * 2685821657736338717u >> 33) % below;
}

static void damage(bytes *of) { /* some bytes changed, left out or doubled; it is as large as it was, or smaller, or has room */
    static const char odd[] = "\"\\{}[]:,.-0123456789abcdefxptrnulNaFI \n/_";
    for (size_t times = 1 + drawn(3); times-- && of->size;) {
        size_t at = drawn(of->size), length = 1 + drawn(8), kind = drawn(4);
        if (length > of->size - at) length = of->size - at;
        if (kind == 0) of->bytes[at] = drawn(256);
        if (kind == 1) of->bytes[at] = odd[drawn(sizeof odd - 1)];
        if (kind == 2) memmove(of->bytes + at, of->bytes + at + length, of->size - at - length), of->size -= length;
        if (kind == 3) memmove(of->bytes + at, of->bytes + drawn(of->size - length + 1), length);
    }
}

static int reads(const bytes *files) { /* 1 if all of it is read, 0 if it is refused */
    bytes own[3];
    for (int i = 0; i < 3; i++) own[i] = copy(files[i]);
    /* the third has no 0 after its end */
    unsigned char *tensors = malloc(own[2].size ? own[2].size : 1);
    memcpy(tensors, own[2].bytes, own[2].size);
    volatile int found = 0;
    if (!setjmp(refused)) {
        golden_file file = golden_from((char *)own[0].bytes, (char *)own[1].bytes, tensors, own[2].size);
        counts all = {0};
        judge(&file, &all), found = 1;
    }
    freed(), free(tensors);
    for (int i = 0; i < 3; i++) free(own[i].bytes);
    return found;
}

int main(int argc, char **argv) {
    const char *names[] = {argv[2], "manifest", argv[2]}, *ends[] = {"json", "json", "safetensors"};
    bytes files[3];
    size_t outcomes[2] = {0};
    if (argc < 5) return 64;
    for (int i = 0; i < 3; i++) {
        files[i].bytes = (unsigned char *)golden_bytes(argv[1], names[i], ends[i], &files[i].size);
        many = 0; /* these stay */
    }
    if (!reads(files)) return 65;
    if (!strcmp(argv[3], "cut")) {
        for (int i = 0; i < 3; i++)
            for (size_t size = 0; size < files[i].size; size += atoi(argv[4])) {
                bytes cut[] = {files[0], files[1], files[2]};
                cut[i].size = size, outcomes[reads(cut)]++;
            }
    } else {
        state = 88172645463325252u + strtoull(argv[3], NULL, 10);
        for (size_t left = strtoull(argv[4], NULL, 10); left--;) {
            bytes changed[] = {files[0], files[1], files[2]};
            int which = drawn(3) % 3;
            changed[which] = copy(files[which]), damage(&changed[which]);
            outcomes[reads(changed)]++, free(changed[which].bytes);
        }
    }
    printf("%zu read, %zu refused\n", outcomes[1], outcomes[0]);
    return 0;
}
