/* Reads every case of some rules by golden.h: ./reader FOLDER RULE ...
 * The outputs as the files have them are inside; beyond their high ends, as far as these are numbers, most are outside. */
#include "golden.h"

/* the outputs of a case: what others are given, or else the low ends; moved is 1 for numbers beyond the high ends */
static void outputs_of(const golden_file *file, int number, const golden_json *output, int moved, golden_result *results) {
    for (; output; output = output->next, results++) {
        size_t count, given;
        const char *name = golden_get(output, "name")->text;
        double *set = golden_tensor(file, number, "set", name, &count), *reference = golden_tensor(file, number, "reference", name, &given);
        size_t n = count / 2 / atoi(golden_get(output, "ways")->text);
        for (size_t i = 0; moved && i < n; i++)
            if (isfinite(set[i])) set[i] = set[n + i] + 1 + fabs(set[n + i]);
        results->name = name, results->n = n, results->x = !moved && reference && given == n ? reference : set;
    }
    results->name = NULL;
}

int main(int argc, char **argv) {
    size_t cases = 0, outputs = 0, numbers = 0, outside[2] = {0};
    for (int each = 2; each < argc; each++) {
        golden_file file = golden_open(argv[1], argv[each]);
        const golden_json *record = golden_get(file.document, "cases")->child;
        for (int number = 0; record; number++, record = record->next, cases++)
            for (int moved = 0; moved < 2; moved++) {
                golden_result results[65];
                const golden_json *first = golden_get(record, "outputs")->child, *output = first;
                outputs_of(&file, number, first, moved, results);
                for (; output; output = output->next) {
                    size_t found = golden_outside(&file, number, output, results);
                    if (found && !moved) printf("%s: %s: %zu\n", golden_get(record, "id")->text, golden_get(output, "name")->text, found);
                    outside[moved] += found;
                    if (!moved) outputs++, numbers += golden_find(results, golden_get(output, "name")->text)->n;
                }
                golden_named(&file, record, results);
            }
    }
    printf("%zu cases, %zu outputs, %zu numbers: %zu outside, %zu when moved\n", cases, outputs, numbers, outside[0], outside[1]);
    return 0;
}
