/* lemma-gpu: super-resolves photographs of words and reads them, on any Vulkan, Metal or DX12 GPU.
 *
 * C99 and C++17. Rules that hold everywhere:
 *
 * - A handle is made by one function and freed by the _free of its type; NULL may be freed. A model keeps what it needs of its
 *   engine: they may be freed in any order. Every handle may be used from any number of threads at once, and freed from any.
 * - A function that can fail gives a LemmaStatus. Unless its `error` is NULL, *error is NULL after LEMMA_OK, and else an object
 *   with a message, to be freed. `*out` is NULL after a failure. There is no hidden state of a thread.
 * - Nothing is taken over: what is given in is copied or read during the call, what comes out lives as long as the handle that
 *   it came from. The library never calls free on memory of the program, nor the program on the library's.
 * - Structs of options begin with their size: start from the _INIT macro, then set members. NULL means the defaults.
 * - Strings are UTF-8 and end with a zero byte.
 * - No Rust panic crosses: it ends as LEMMA_PANIC. The library prints nothing and never ends the process. (A layer of Mesa's
 *   that Vulkan loads complains on standard error where there is no display; NODEVICE_SELECT=1 in the environment leaves it out.)
 */
#ifndef LEMMA_GPU_H
#define LEMMA_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The interface that this header describes. A library of another number is not compatible: compare with lemma_abi_version(). */
#define LEMMA_ABI_VERSION 1

/* The number of the interface that the library has. */
uint32_t lemma_abi_version(void);
/* The version of the library, as "0.1.0". */
const char *lemma_version(void);

/* ---- Errors ---- */

typedef int32_t LemmaStatus;
enum {
    LEMMA_OK = 0,
    LEMMA_NO_ADAPTER = 1, /* no adapter fits the request */
    LEMMA_DEVICE = 2,     /* the device was lost, or refused a kernel: make a new engine */
    LEMMA_MEMORY = 3,     /* the device has no memory left: smaller batches may do */
    LEMMA_IO = 4,         /* a file could not be read or written */
    LEMMA_FORMAT = 5,     /* a file is not what it claims to be */
    LEMMA_SHAPE = 6,      /* an image or a tensor has a size that does not fit */
    LEMMA_ARGUMENT = 7,   /* an argument is out of its range, or NULL where it must not be */
    LEMMA_RESULT = 8,     /* a result failed its own check, as for NaN */
    LEMMA_CANCELLED = 9,  /* the call-back asked to stop */
    LEMMA_PANIC = 10      /* a fault of the library */
};

typedef struct LemmaError LemmaError;

LemmaStatus lemma_error_status(const LemmaError *error);
/* Where, what, what was expected and what was there; one line or several. */
const char *lemma_error_message(const LemmaError *error);
void lemma_error_free(LemmaError *error);

/* ---- Adapters ---- */

typedef struct LemmaAdapters LemmaAdapters;

typedef struct LemmaAdapter {
    const char *name;
    const char *kind;    /* "DiscreteGpu", "IntegratedGpu", "VirtualGpu", "Other" or "Cpu" */
    const char *backend; /* "vulkan", "metal" or "dx12" */
    const char *driver;
    const char *pci;     /* as "0000:3b:00.0", or empty */
    bool software;       /* computes on the CPU */
} LemmaAdapter;

/* The adapters of this machine, fastest kind first. A machine without any gives an empty list. */
LemmaStatus lemma_adapters(LemmaAdapters **out, LemmaError **error);
size_t lemma_adapters_count(const LemmaAdapters *adapters);
/* The i-th; NULL beyond the last. */
const LemmaAdapter *lemma_adapters_get(const LemmaAdapters *adapters, size_t i);
void lemma_adapters_free(LemmaAdapters *adapters);

/* ---- Engine ---- */

typedef int32_t LemmaPrecision;
enum {
    LEMMA_F32 = 0,
    LEMMA_F16 = 1 /* weights and activations in half the memory, on adapters with shader-f16 */
};

typedef struct LemmaEngineOptions {
    size_t size;
    /* An index, a part of a name, "pci:0000:3b:00.0" or "rank"; NULL for the fastest kind present. */
    const char *adapter;
    /* A folder where the driver's compiled kernels are kept between runs, which makes the first pass of later ones fast, and
     * where `lemma-gpu tune --cache` left what it measured; NULL for none. */
    const char *cache;
    /* Most bytes of device memory that may be held; 0 for no bound. */
    uint64_t memory;
    LemmaPrecision precision;
} LemmaEngineOptions;
#define LEMMA_ENGINE_OPTIONS_INIT { sizeof(LemmaEngineOptions), NULL, NULL, 0, LEMMA_F32 }

typedef struct LemmaEngine LemmaEngine;

/* Opens an adapter. It cannot share a device of the program: wgpu-native of the program and the wgpu in here are two. */
LemmaStatus lemma_engine_new(const LemmaEngineOptions *options, LemmaEngine **out, LemmaError **error);
/* The adapter behind the engine; lives as long as it. */
const LemmaAdapter *lemma_engine_adapter(const LemmaEngine *engine);
void lemma_engine_free(LemmaEngine *engine);

/* ---- Images ---- */

typedef int32_t LemmaFormat;
enum {
    LEMMA_RGB8 = 0,
    LEMMA_RGBA8 = 1, /* alpha is not multiplied in; what is transparent lies on white or black, whichever shows it */
    LEMMA_BGRA8 = 2,
    LEMMA_GRAY8 = 3
};

typedef struct LemmaImage {
    const uint8_t *pixels;
    uint32_t width;
    uint32_t height;
    size_t stride; /* bytes from one row to the next; 0 where rows follow one another */
    LemmaFormat format;
} LemmaImage;

typedef struct LemmaPicture LemmaPicture;

/* Decodes a PNG, JPEG, WebP, BMP, TIFF, GIF or PNM file in memory. A convenience: programs that have pixels need it not. */
LemmaStatus lemma_picture_decode(const uint8_t *bytes, size_t len, LemmaPicture **out, LemmaError **error);
/* Its pixels, LEMMA_RGB8, which live as long as the picture. */
LemmaImage lemma_picture_image(const LemmaPicture *picture);
void lemma_picture_free(LemmaPicture *picture);
/* Writes an image as PNG. A file that is there is replaced only if `overwrite` says so, and never by half a file. */
LemmaStatus lemma_image_write_png(const LemmaImage *image, const char *path, bool overwrite, LemmaError **error);

/* ---- Readers: recognizers of words ---- */

typedef struct LemmaReader LemmaReader;

/* The small ABINet inside the library. */
LemmaStatus lemma_reader_shipped(const LemmaEngine *engine, LemmaReader **out, LemmaError **error);
/* Weights of ABINet, CRNN, ASTER, MORAN, PARSeq or MATRN: safetensors, or the official PyTorch file. */
LemmaStatus lemma_reader_open(const LemmaEngine *engine, const char *path, LemmaReader **out, LemmaError **error);
LemmaStatus lemma_reader_from_bytes(const LemmaEngine *engine, const uint8_t *bytes, size_t len, LemmaReader **out,
                                    LemmaError **error);
/* The network's name, as "ABINet". */
const char *lemma_reader_kind(const LemmaReader *reader);
void lemma_reader_free(LemmaReader *reader);

/* ---- Models: LEMMA ---- */

typedef struct LemmaModel LemmaModel;

/* The small LEMMA inside the library, with the reader inside it. */
LemmaStatus lemma_model_shipped(const LemmaEngine *engine, LemmaModel **out, LemmaError **error);
LemmaStatus lemma_model_open(const LemmaEngine *engine, const char *path, LemmaModel **out, LemmaError **error);
LemmaStatus lemma_model_from_bytes(const LemmaEngine *engine, const uint8_t *bytes, size_t len, LemmaModel **out,
                                   LemmaError **error);
/* From now on `reader` reads what new calls super-resolve, in place of the recognizer inside the model. */
LemmaStatus lemma_model_set_reader(LemmaModel *model, const LemmaReader *reader, LemmaError **error);
void lemma_model_free(LemmaModel *model);

/* ---- Work ---- */

/* Called on the thread of the call, after each pass over the network, with the parts of images that are done and all of them.
 * False asks to stop: the call ends with LEMMA_CANCELLED. It must not unwind (a C++ exception). */
typedef bool (*LemmaProgress)(size_t done, size_t all, void *user);

typedef int32_t LemmaFit;
enum {
    LEMMA_FIT_AUTO = 0,    /* by the shape: words are stretched, long lines split, narrow images padded */
    LEMMA_FIT_STRETCH = 1, /* as in the paper */
    LEMMA_FIT_PAD = 2,
    LEMMA_FIT_SPLIT = 3
};

typedef struct LemmaOptions {
    size_t size;
    LemmaProgress progress; /* NULL for none */
    void *user;             /* handed to it */
    size_t batch;           /* most windows in a pass; 0 for the default */
    LemmaFit fit;
    bool keep_upright;      /* leave images that are more than twice as high as wide as they stand */
    bool no_text;           /* super-resolve only */
    bool attention;         /* bring back where characters are */
} LemmaOptions;
#define LEMMA_OPTIONS_INIT { sizeof(LemmaOptions), NULL, NULL, 0, LEMMA_FIT_AUTO, false, false, false }

typedef struct LemmaResults LemmaResults;

/* Super-resolves `count` images of any size and reads them. Blocks until done; calls on one device take turns pass by pass. */
LemmaStatus lemma_upscale(const LemmaModel *model, const LemmaImage *images, size_t count, const LemmaOptions *options,
                          LemmaResults **out, LemmaError **error);
/* Reads `count` images as they are, each as one word; of the options, `batch`, `progress` and `user` count. */
LemmaStatus lemma_read(const LemmaReader *reader, const LemmaImage *images, size_t count, const LemmaOptions *options,
                       LemmaResults **out, LemmaError **error);

typedef struct LemmaCharacter {
    const char *text;
    float confidence; /* its probability */
    float center;     /* where it stands, as a share of the image's width */
} LemmaCharacter;

size_t lemma_results_count(const LemmaResults *results);
/* The i-th image, LEMMA_RGB8. Its pixels are NULL where there is none: beyond the last, and of lemma_read. */
LemmaImage lemma_results_image(const LemmaResults *results, size_t i);
/* What is written there; empty where nothing was read, NULL beyond the last. */
const char *lemma_results_text(const LemmaResults *results, size_t i);
/* Geometric mean of the characters' probabilities; 0 where nothing was read. */
float lemma_results_confidence(const LemmaResults *results, size_t i);
/* The characters of the i-th image, `*count` of them; NULL where there are none. */
const LemmaCharacter *lemma_results_characters(const LemmaResults *results, size_t i, size_t *count);
/* The location attention over the i-th image, `*height` rows of `*width` values; NULL unless it was asked for. */
const float *lemma_results_attention(const LemmaResults *results, size_t i, uint32_t *width, uint32_t *height);
void lemma_results_free(LemmaResults *results);

#ifdef __cplusplus
}
#endif

#endif
