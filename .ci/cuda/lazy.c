/* The functions of one CUDA library, each of which opens the library when it is first called. Linked
 * statically in the library's place, they leave a program that starts without CUDA too.
 *
 * LIBRARIES  file names of the library, newest first
 * MISSING    what a function answers where the library or the function is missing
 * FUNCTIONS  a file with a line FORWARD(name, fail) or FORWARD(name, text) for each function
 */
#include <dlfcn.h>

/* Calling conventions of 64-bit Linux on x86 and Arm hand out integers, pointers and floats to two
 * sets of registers and the rest to the stack, in order. So one list that is as long as the longest
 * (23, cublasGemmStridedBatchedEx) passes any arguments on, read or not. */
#define PARAMETERS                                                                               \
    long a0, long a1, long a2, long a3, long a4, long a5, long a6, long a7, long a8, long a9,    \
    long b0, long b1, long b2, long b3, long b4, long b5, long b6, long b7, long b8, long b9,    \
    long c0, long c1, long c2, long c3, long c4, long c5, double f0, double f1, double f2,       \
    double f3, double f4, double f5, double f6, double f7
#define ARGUMENTS                                                                                \
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9,              \
    c0, c1, c2, c3, c4, c5, f0, f1, f2, f3, f4, f5, f6, f7

typedef long function(PARAMETERS);

static long fail(PARAMETERS) { return MISSING; }
static long text(PARAMETERS) { return (long)"the CUDA library is missing"; }

/* Threads that get here at once find the same. */
static function *find(function **known, const char *name, function *missing) {
    static const char *const libraries[] = {LIBRARIES};
    function *found = __atomic_load_n(known, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; !found && i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);
        found = library ? (function *)dlsym(library, name) : 0;
    }
    found = found ? found : missing;
    __atomic_store_n(known, found, __ATOMIC_RELEASE);
    return found;
}

#define FORWARD(name, missing)                                                                   \
    __attribute__((visibility("hidden"))) long name(PARAMETERS) {                                \
        static function *known;                                                                  \
        return find(&known, #name, missing)(ARGUMENTS);                                          \
    }
#include FUNCTIONS
