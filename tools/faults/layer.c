/* A Vulkan layer that lets calls fail: the one that LEMMA_GPU_FAULT names, as `vkQueueSubmit:-4:12` does (function, result, from
 * which call on). LEMMA_GPU_FAULT_COUNTS names a file that gets the number of calls of each function when the process ends.
 *
 *   cc -O1 -shared -fPIC -o libfaults.so layer.c
 *
 * The few types of Vulkan's headers that it needs are written out, so that a C compiler is all it takes. Every function that can
 * fail has at most six arguments, all integers or pointers: on 64-bit machines they can be handed on without being named.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *, const char *);
typedef int32_t (*Any)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

/* VkLayerInstanceCreateInfo and VkLayerDeviceCreateInfo, as far as they are alike. */
struct Info {
    int32_t type;
    const struct Info *next;
    int32_t function;
    struct Link {
        struct Link *next;
        GetProcAddr get_instance;
        GetProcAddr get_device;
    } *link;
};
enum { INSTANCE_INFO = 47, DEVICE_INFO = 48, LINK = 0 };

struct Negotiate {
    int32_t type;
    void *next;
    uint32_t version;
    GetProcAddr get_instance;
    GetProcAddr get_device;
    GetProcAddr get_physical_device;
};

static GetProcAddr next_instance, next_device;
static void *the_instance;

/* Its link of the chain, which moves on to the next layer. */
static struct Link *link_of(const struct Info *info, int32_t type) {
    while (info && (info->type != type || info->function != LINK)) info = info->next;
    if (!info) return NULL;
    struct Link *link = info->link;
    ((struct Info *)info)->link = link->next;
    return link;
}

struct Call {
    const char *name;
    Any next;
    atomic_long calls;
    int32_t result;
    long from;
};

static int32_t call(struct Call *c, uintptr_t a0, uintptr_t a1, uintptr_t a2, uintptr_t a3, uintptr_t a4, uintptr_t a5) {
    long n = 1 + atomic_fetch_add(&c->calls, 1);
    return c->from && n >= c->from ? c->result : c->next(a0, a1, a2, a3, a4, a5);
}

#define CALLS(X) \
    X(AllocateCommandBuffers) \
    X(AllocateDescriptorSets) \
    X(AllocateMemory) \
    X(BeginCommandBuffer) \
    X(BindBufferMemory) \
    X(BindImageMemory) \
    X(CreateBuffer) \
    X(CreateCommandPool) \
    X(CreateComputePipelines) \
    X(CreateDescriptorPool) \
    X(CreateDescriptorSetLayout) \
    X(CreateFence) \
    X(CreateImage) \
    X(CreateImageView) \
    X(CreatePipelineCache) \
    X(CreatePipelineLayout) \
    X(CreateQueryPool) \
    X(CreateSemaphore) \
    X(CreateShaderModule) \
    X(EndCommandBuffer) \
    X(GetPipelineCacheData) \
    X(GetSemaphoreCounterValue) \
    X(GetSemaphoreCounterValueKHR) \
    X(MapMemory) \
    X(QueueSubmit) \
    X(QueueWaitIdle) \
    X(ResetCommandPool) \
    X(WaitForFences) \
    X(WaitSemaphores) \
    X(WaitSemaphoresKHR)

#define INDEX(name) AT_##name,
enum { CALLS(INDEX) COUNT };
#define ENTRY(function) {.name = "vk" #function},
static struct Call calls[] = {CALLS(ENTRY)};
#define WRAPPER(name) \
    static int32_t wrapped_##name(uintptr_t a0, uintptr_t a1, uintptr_t a2, uintptr_t a3, uintptr_t a4, uintptr_t a5) { \
        return call(&calls[AT_##name], a0, a1, a2, a3, a4, a5); \
    }
CALLS(WRAPPER)
#define WRAPPED(name) (Function)wrapped_##name,
static const Function wrapped[] = {CALLS(WRAPPED)};

/* The wrapper of a function that there is one of behind this layer. */
static Function wrapper(const char *name, Function next) {
    for (int i = 0; next && i < COUNT; i++) {
        if (strcmp(name, calls[i].name) == 0) {
            calls[i].next = (Any)next;
            return wrapped[i];
        }
    }
    return next;
}

static int32_t create_instance(const struct Info *info, const void *allocator, void **instance) {
    struct Link *link = link_of(info->next, INSTANCE_INFO);
    next_instance = link->get_instance;
    Any next = (Any)next_instance(NULL, "vkCreateInstance");
    int32_t result = next((uintptr_t)info, (uintptr_t)allocator, (uintptr_t)instance, 0, 0, 0);
    if (result == 0) the_instance = *instance;
    return result;
}

static int32_t create_device(void *gpu, const struct Info *info, const void *allocator, void **device) {
    struct Link *link = link_of(info->next, DEVICE_INFO);
    next_device = link->get_device;
    Any next = (Any)link->get_instance(the_instance, "vkCreateDevice");
    return next((uintptr_t)gpu, (uintptr_t)info, (uintptr_t)allocator, (uintptr_t)device, 0, 0);
}

static Function get_device(void *device, const char *name) {
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)get_device;
    return wrapper(name, next_device(device, name));
}

static Function get_instance(void *instance, const char *name) {
    if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)get_instance;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) return (Function)get_device;
    if (strcmp(name, "vkCreateInstance") == 0) return (Function)create_instance;
    if (strcmp(name, "vkCreateDevice") == 0) return (Function)create_device;
    return next_instance ? next_instance(instance, name) : NULL;
}

__attribute__((visibility("default"))) int32_t vkNegotiateLoaderLayerInterfaceVersion(struct Negotiate *asked) {
    char name[64];
    int result;
    long from;
    const char *fault = getenv("LEMMA_GPU_FAULT");
    if (fault && sscanf(fault, "%63[^:]:%d:%ld", name, &result, &from) == 3) {
        size_t length = strlen(name); /* an extension's function that has become Vulkan's own goes by that name, too */
        for (int i = 0; i < COUNT; i++) {
            const char *rest = calls[i].name + length;
            if (strncmp(name, calls[i].name, length) || (*rest && strcmp(rest, "KHR"))) continue;
            calls[i].result = result;
            calls[i].from = from;
        }
    }
    asked->version = 2;
    asked->get_instance = get_instance;
    asked->get_device = get_device;
    asked->get_physical_device = NULL;
    return 0;
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("LEMMA_GPU_FAULT_COUNTS");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    for (int i = 0; i < COUNT; i++) fprintf(file, "%s %ld\n", calls[i].name, atomic_load(&calls[i].calls));
    fclose(file);
}
