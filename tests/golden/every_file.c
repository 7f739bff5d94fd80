/* Reads every case of some rules by golden.h: ./reader FOLDER RULE ...
 * The outputs as the files have them are inside; beyond their high ends, as far as these are numbers, most are outside. */
#include "golden.h"

#define OUTPUTS 64 /* of a case, at most */

/* the outputs of a case: what others are given, or else the low ends; moved is 1 for numbers beyond the high ends */
static void outputs_of(const golden_file *file, int number, const golden_json *output, int moved, golden_result *results) {
    for (size_t left = OUTPUTS; output; output = output->next, results++) {
        size_t count, given, ways = golden_whole(golden_get(output, "ways"), "ways");
        if (!left-- || !ways) golden_fail("it has other outputs than a case", "has");
        const char *name = golden_word(output, "name");
        double *set = golden_tensor(file, number, "set", name, &count), *reference = golden_tensor(file, number, "reference", name, &given);
        size_t n = count / 2 / ways;
        for (size_t i = 0; moved && i < n; i++)
            if (isfinite(set[i])) set[i] = set[n + i] + 1 + fabs(set[n + i]);
        results->name = name, results->n = n, results->x = !moved && reference && given == n ? reference : set;
    }
    results->name = NULL;
}

/* what comes of every case of a file: cases, outputs, numbers, and how many of these are outside, as they are and when moved */
typedef struct { size_t cases, outputs, numbers, outside[2]; } counts;

static void judge(const golden_file *file, counts *so_far) {
    const golden_json *record = golden_need(file->document, "cases", '[')->child;
    for (int number = 0; record; number++, record = record->next, so_far->cases++)
        for (int moved = 0; moved < 2; moved++) {
            golden_result results[OUTPUTS + 1];
            const golden_json *first = golden_need(record, "outputs", '[')->child, *output = first;
            outputs_of(file, number, first, moved, results);
            for (; output; output = output->next) {
                size_t found = golden_outside(file, number, output, results);
                if (found && !moved) printf("%s: %s: %zu\n", golden_word(record, "id"), golden_word(output, "name"), found);
                so_far->outside[moved] += found;
                if (!moved) so_far->outputs++, so_far->numbers += golden_find(results, golden_word(output, "name"))->n;
            }
            golden_named(file, record, results);
        }
}

#ifndef DAMAGED
int main(int argc, char **argv) {
    counts all = {0};
    for (int each = 2; each < argc; each++) {
        golden_file file = golden_open(argv[1], argv[each]);
        judge(&file, &all);
    }
    printf("%zu cases, %zu outputs, %zu numbers: %zu outside, %zu when moved\n", all.cases, all.outputs, all.numbers, all.outside[0], all.outside[1]);
    return 0;
}
#endif
