/* A library with NVML's symbols, as nvidia-ml-py calls them, over a table of devices that a test fills.

   The test loads this file's library before nvidia-ml-py asks for libnvidia-ml.so.1, and turns the knobs at the end of
   this file. Structures and codes are those of the public interface; nothing here measures anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       GPU_IS_LOST = 15 };
enum { BUSY, MEMORY_USED, MEMORY_TOTAL, POWER_MW, ENERGY_MJ, SM_CLOCK, MEMORY_CLOCK, TEMPERATURE, REASONS, GPM_SUPPORT,
       GPM_SM, GPM_TENSOR, GPM_DRAM, PROCESSES, FIELDS };
enum { MOST = 16, MOST_PROCESSES = 8 };

typedef struct Device {
    char uuid[96], name[96];
    int whole; /* place of the GPU that this is a slice of, -1 for a GPU */
    unsigned instance, compute_instance;
    double value[FIELDS];
    int error[FIELDS], lost;
    unsigned pid[MOST_PROCESSES], processes;
} Device;

typedef struct { Device *device; double value[FIELDS]; } Sample;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned pid; unsigned long long used; unsigned instance, compute_instance; } Process;
typedef struct { unsigned id; int result; double value; const char *names[3]; } GpmMetric;
typedef struct { unsigned version, count; Sample *first, *second; GpmMetric metrics[]; } GpmQuestion;
typedef struct { unsigned version, supported; } GpmSupport;

static Device devices[MOST];
static int count, started, init_error, samples;

static int check(Device *device, int field) {
    if (!started) return UNINITIALIZED;
    return device->lost ? GPU_IS_LOST : device->error[field];
}

static int number(Device *device, int field, unsigned *answer) {
    int error = check(device, field);
    if (!error) *answer = (unsigned)device->value[field];
    return error;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; if (!init_error) started++; return init_error; }
int nvmlShutdown(void) { if (!started) return UNINITIALIZED; started--; return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : code == NOT_SUPPORTED ? "Not Supported" : "Unknown Error"; }

/* Finding devices */
int nvmlDeviceGetCount_v2(unsigned *answer) {
    *answer = 0;
    for (int i = 0; i < count; i++) *answer += devices[i].whole < 0;
    return started ? SUCCESS : UNINITIALIZED;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **answer) {
    for (int i = 0; i < count; i++)
        if (devices[i].whole < 0 && index-- == 0) { *answer = &devices[i]; return devices[i].lost ? GPU_IS_LOST : SUCCESS; }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(Device *device, char *text, unsigned size) { snprintf(text, size, "%s", device->uuid); return SUCCESS; }
int nvmlDeviceGetName(Device *device, char *text, unsigned size) { snprintf(text, size, "%s", device->name); return SUCCESS; }
int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *answer) { (void)device; *answer = 7; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **answer) {
    for (int i = 0; i < count; i++)
        if (devices[i].whole == device - devices && index-- == 0) { *answer = &devices[i]; return SUCCESS; }
    return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(Device *device, unsigned *answer) { *answer = device->instance; return SUCCESS; }
int nvmlDeviceGetComputeInstanceId(Device *device, unsigned *answer) { *answer = device->compute_instance; return SUCCESS; }

/* Reading them */
int nvmlDeviceGetUtilizationRates(Device *device, Utilization *answer) { answer->memory = 0; return number(device, BUSY, &answer->gpu); }
int nvmlDeviceGetPowerUsage(Device *device, unsigned *answer) { return number(device, POWER_MW, answer); }
int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned *answer) { (void)sensor; return number(device, TEMPERATURE, answer); }
int nvmlDeviceGetClockInfo(Device *device, int kind, unsigned *answer) { return number(device, kind == 1 ? SM_CLOCK : MEMORY_CLOCK, answer); }

int nvmlDeviceGetMemoryInfo(Device *device, Memory *answer) {
    answer->used = (unsigned long long)device->value[MEMORY_USED];
    answer->total = (unsigned long long)device->value[MEMORY_TOTAL];
    answer->free = answer->total - answer->used;
    return check(device, MEMORY_USED);
}

int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *answer) {
    *answer = (unsigned long long)device->value[ENERGY_MJ];
    return check(device, ENERGY_MJ);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(Device *device, unsigned long long *answer) {
    *answer = (unsigned long long)device->value[REASONS];
    return check(device, REASONS);
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *size, Process *answer) {
    int error = check(device, PROCESSES);
    if (error) return error;
    unsigned room = *size;
    *size = device->processes;
    if (device->processes > room) return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < device->processes; i++) answer[i] = (Process){device->pid[i], 1 << 20, 0, 0};
    return SUCCESS;
}

/* GPM */
int nvmlGpmQueryDeviceSupport(Device *device, GpmSupport *answer) {
    answer->supported = device->value[GPM_SUPPORT] != 0;
    return check(device, GPM_SUPPORT);
}

int nvmlGpmSampleAlloc(Sample **answer) { *answer = calloc(1, sizeof(Sample)); samples++; return SUCCESS; }
int nvmlGpmSampleFree(Sample *sample) { free(sample); samples--; return SUCCESS; }

int nvmlGpmSampleGet(Device *device, Sample *sample) {
    if (device->whole >= 0) return INVALID_ARGUMENT; /* a slice is asked for by its GPU and instance */
    sample->device = device;
    memcpy(sample->value, device->value, sizeof sample->value);
    return check(device, GPM_SUPPORT);
}

int nvmlGpmMigSampleGet(Device *whole, unsigned instance, Sample *sample) {
    for (int i = 0; i < count; i++)
        if (devices[i].whole == whole - devices && devices[i].instance == instance) {
            sample->device = &devices[i];
            memcpy(sample->value, devices[i].value, sizeof sample->value);
            return check(&devices[i], GPM_SUPPORT);
        }
    return NOT_FOUND;
}

/* A counter's value is its sum so far, a metric the difference of two samples: the order of samples matters. */
int nvmlGpmMetricsGet(GpmQuestion *question) {
    if (question->version != 1 || !question->first->device || question->first->device != question->second->device)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < question->count; i++) {
        GpmMetric *metric = &question->metrics[i];
        int field = metric->id == 2 ? GPM_SM : metric->id == 5 ? GPM_TENSOR : metric->id == 10 ? GPM_DRAM : -1;
        if (field < 0) return INVALID_ARGUMENT;
        metric->result = check(question->second->device, field);
        metric->value = question->second->value[field] - question->first->value[field];
    }
    return SUCCESS;
}

/* The knobs */
void fake_reset(void) { memset(devices, 0, sizeof devices); count = init_error = 0; }
void fake_init_error(int code) { init_error = code; }
int fake_started(void) { return started; }
int fake_samples(void) { return samples; }

int fake_add(const char *uuid, const char *name, int whole, unsigned instance, unsigned compute_instance) {
    Device *device = &devices[count];
    snprintf(device->uuid, sizeof device->uuid, "%s", uuid);
    snprintf(device->name, sizeof device->name, "%s", name);
    device->whole = whole, device->instance = instance, device->compute_instance = compute_instance;
    device->value[MEMORY_TOTAL] = 1ull << 37;
    return count++;
}

void fake_set(int device, int field, double value) { devices[device].value[field] = value; }
void fake_fail(int device, int field, int code) { devices[device].error[field] = code; }
void fake_lose(int device) { devices[device].lost = 1; }
void fake_process(int device, unsigned pid) { devices[device].pid[devices[device].processes++] = pid; }
