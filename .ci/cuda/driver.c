/* Stands for an NVIDIA driver with GPUS GPUs that have no memory left, so that what is said of them can be
 * tried where there is none. */
enum { OUT_OF_MEMORY = 2, NO_DEVICE = 100 };

int cuInit(void) { return GPUS ? 0 : NO_DEVICE; }
int cuDeviceGetCount(int *count) { return *count = GPUS, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDevicePrimaryCtxRetain(void) { return OUT_OF_MEMORY; }
