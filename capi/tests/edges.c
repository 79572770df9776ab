/* What a program may do wrong, and what it may leave out: edges WORD.png READER.safetensors [--no-device] */
#include <lemma_gpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int faults;
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            faults++; \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
        } \
    } while (0)

/* The call gave this status and an error that tells it, with this in its message. */
#define expect(call, wanted, error, part) expected(__LINE__, call, wanted, error, part)
static void expected(int line, LemmaStatus got, LemmaStatus wanted, LemmaError **error, const char *part) {
    if (got != wanted || lemma_error_status(*error) != wanted || !strstr(lemma_error_message(*error), part)) {
        faults++;
        fprintf(stderr, "%s:%d: expected %d and \"%s\", got %d and %d: %s\n", __FILE__, line, (int)wanted, part,
                (int)got, (int)lemma_error_status(*error), lemma_error_message(*error));
    }
    lemma_error_free(*error);
    *error = NULL;
}

static unsigned char file[8 << 20];
static size_t file_len;

static void load(const char *path) {
    FILE *f = fopen(path, "rb");
    file_len = f ? fread(file, 1, sizeof file, f) : 0;
    if (f) fclose(f);
}

static void without_device(const char *word) {
    LemmaError *error = NULL;
    LemmaPicture *picture = NULL;
    LemmaEngine *engine = (LemmaEngine *)1;
    CHECK(lemma_abi_version() == LEMMA_ABI_VERSION);
    CHECK(strlen(lemma_version()) >= 5);
    CHECK(strcmp(lemma_error_message(NULL), "") == 0 && lemma_error_status(NULL) == LEMMA_OK);
    lemma_engine_free(NULL), lemma_model_free(NULL), lemma_reader_free(NULL), lemma_results_free(NULL);
    lemma_picture_free(NULL), lemma_error_free(NULL), lemma_adapters_free(NULL);
    CHECK(lemma_results_count(NULL) == 0 && lemma_results_text(NULL, 0) == NULL);
    CHECK(lemma_results_image(NULL, 0).pixels == NULL && lemma_adapters_get(NULL, 0) == NULL);

    load(word);
    CHECK(lemma_picture_decode(file, file_len, &picture, &error) == LEMMA_OK && error == NULL);
    LemmaImage image = lemma_picture_image(picture);
    CHECK(image.width > 0 && image.stride == 3 * (size_t)image.width && image.format == LEMMA_RGB8);
    expect(lemma_image_write_png(&image, "/nowhere/word.png", false, &error), LEMMA_IO, &error, "/nowhere");
    expect(lemma_image_write_png(&image, "word.jpg", false, &error), LEMMA_ARGUMENT, &error, ".png");
    lemma_picture_free(picture);
    expect(lemma_picture_decode(file, file_len / 2, &picture, &error), LEMMA_FORMAT, &error, "picture");
    CHECK(picture == NULL);
    expect(lemma_picture_decode(NULL, 9, &picture, &error), LEMMA_ARGUMENT, &error, "NULL");
    CHECK(lemma_picture_decode(NULL, 0, NULL, NULL) == LEMMA_ARGUMENT);

    LemmaEngineOptions options = LEMMA_ENGINE_OPTIONS_INIT;
    options.adapter = "no adapter has this name";
    expect(lemma_engine_new(&options, &engine, &error), LEMMA_NO_ADAPTER, &error, options.adapter);
    CHECK(engine == NULL);
    options.adapter = "\xff";
    expect(lemma_engine_new(&options, &engine, &error), LEMMA_ARGUMENT, &error, "UTF-8");
    options.adapter = NULL;
    options.precision = 7;
    expect(lemma_engine_new(&options, &engine, &error), LEMMA_ARGUMENT, &error, "precision");
    options.size = 0;
    expect(lemma_engine_new(&options, &engine, &error), LEMMA_ARGUMENT, &error, "size");

    /* A caller of a later version, who sets a member that this one does not know; and one who sets none. */
    struct { LemmaEngineOptions known; uint64_t later; } newer = { LEMMA_ENGINE_OPTIONS_INIT, 1 };
    newer.known.size = sizeof newer;
    newer.known.adapter = "no adapter has this name";
    expect(lemma_engine_new(&newer.known, &engine, &error), LEMMA_ARGUMENT, &error, "member");
    newer.later = 0;
    expect(lemma_engine_new(&newer.known, &engine, &error), LEMMA_NO_ADAPTER, &error, "no such adapter");
}

static bool never(size_t done, size_t all, void *user) {
    (void)done, (void)all, (void)user;
    return false;
}

static void with_device(const char *word, const char *weights) {
    LemmaError *error = NULL;
    LemmaAdapters *adapters = NULL;
    CHECK(lemma_adapters(&adapters, &error) == LEMMA_OK && lemma_adapters_count(adapters) > 0);
    CHECK(strlen(lemma_adapters_get(adapters, 0)->backend) > 0);
    CHECK(lemma_adapters_get(adapters, lemma_adapters_count(adapters)) == NULL);
    lemma_adapters_free(adapters);

    LemmaEngineOptions engine_options = LEMMA_ENGINE_OPTIONS_INIT;
    engine_options.adapter = getenv("LEMMA_GPU_ADAPTER");
    LemmaEngine *engine = NULL;
    LemmaModel *model = NULL;
    LemmaReader *reader = NULL;
    LemmaResults *results = NULL;
    LemmaPicture *picture = NULL;
    CHECK(lemma_engine_new(&engine_options, &engine, &error) == LEMMA_OK);
    expect(lemma_model_open(engine, "nowhere.pth", &model, &error), LEMMA_IO, &error, "nowhere.pth");
    expect(lemma_model_open(engine, weights, &model, &error), LEMMA_FORMAT, &error, "ABINet");
    expect(lemma_model_shipped(NULL, &model, &error), LEMMA_ARGUMENT, &error, "engine");
    expect(lemma_model_from_bytes(engine, file, 100, &model, &error), LEMMA_FORMAT, &error, "weights");
    CHECK(model == NULL);
    CHECK(lemma_model_shipped(engine, &model, &error) == LEMMA_OK);

    load(word);
    CHECK(lemma_picture_decode(file, file_len, &picture, &error) == LEMMA_OK);
    LemmaImage images[2] = { lemma_picture_image(picture), lemma_picture_image(picture) };
    images[1].stride = 1;
    expect(lemma_upscale(model, images, 2, NULL, &results, &error), LEMMA_SHAPE, &error, "images[1]");
    images[1].stride = 0;
    images[1].format = 9;
    expect(lemma_upscale(model, images, 2, NULL, &results, &error), LEMMA_ARGUMENT, &error, "format");
    images[1].format = LEMMA_RGB8;
    images[1].pixels = NULL;
    expect(lemma_upscale(model, images, 2, NULL, &results, &error), LEMMA_ARGUMENT, &error, "images[1]");
    expect(lemma_upscale(NULL, images, 1, NULL, &results, &error), LEMMA_ARGUMENT, &error, "model");
    images[1] = images[0];

    LemmaOptions options = LEMMA_OPTIONS_INIT;
    options.fit = 4;
    expect(lemma_upscale(model, images, 2, &options, &results, &error), LEMMA_ARGUMENT, &error, "fit");
    options.fit = LEMMA_FIT_AUTO;
    options.attention = true;
    CHECK(lemma_upscale(model, images, 2, &options, &results, &error) == LEMMA_OK && !error);
    CHECK(lemma_results_count(results) == 2 && strcmp(lemma_results_text(results, 1), "coffee") == 0);
    uint32_t width = 0, height = 0;
    const float *map = lemma_results_attention(results, 0, &width, &height);
    CHECK(map != NULL && width > 0 && height > 0 && map[width * height - 1] >= 0.0f);
    CHECK(lemma_results_text(results, 2) == NULL && lemma_results_image(results, 2).pixels == NULL);
    size_t count = 0;
    CHECK(lemma_results_characters(results, 0, &count) != NULL && count == 6);

    /* The reader of a file, told of its progress; what comes last is never too late. */
    CHECK(lemma_reader_open(engine, weights, &reader, &error) == LEMMA_OK);
    CHECK(strcmp(lemma_reader_kind(reader), "ABINet") == 0);
    CHECK(lemma_model_set_reader(model, reader, &error) == LEMMA_OK);
    LemmaImage sharp = lemma_results_image(results, 0);
    LemmaResults *read = NULL;
    options.progress = never;
    CHECK(lemma_read(reader, &sharp, 1, &options, &read, &error) == LEMMA_OK);
    CHECK(strcmp(lemma_results_text(read, 0), "coffee") == 0 && lemma_results_image(read, 0).pixels == NULL);
    CHECK(lemma_results_attention(read, 0, NULL, NULL) == NULL);
    options.batch = 1;
    lemma_results_free(results);
    expect(lemma_upscale(model, images, 2, &options, &results, &error), LEMMA_CANCELLED, &error, "stopped");
    CHECK(results == NULL);
    CHECK(lemma_upscale(model, images, 0, NULL, &results, &error) == LEMMA_OK && lemma_results_count(results) == 0);

    lemma_engine_free(engine), lemma_model_free(model);
    lemma_reader_free(reader), lemma_results_free(read), lemma_results_free(results), lemma_picture_free(picture);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    without_device(argv[1]);
    if (argc == 3) with_device(argv[1], argv[2]);
    return faults != 0;
}
