/* Super-resolves word images and reads them: upscale WORD.png... writes WORD-readable.png beside each. */
#include <lemma_gpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, LemmaError *error) {
    fprintf(stderr, "%s: %s\n", what, lemma_error_message(error));
    lemma_error_free(error);
    return 1;
}

static unsigned char *whole_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    *len = 0;
    while (file && !ferror(file)) {
        unsigned char *more = realloc(bytes, *len + 65536);
        if (!more) break;
        bytes = more;
        size_t got = fread(bytes + *len, 1, 65536, file);
        *len += got;
        if (got < 65536) break;
    }
    if (file) fclose(file);
    return bytes;
}

static int word(const LemmaModel *model, const char *path) {
    LemmaError *error = NULL;
    size_t len;
    unsigned char *bytes = whole_file(path, &len);
    if (!bytes) return perror(path), 1;
    LemmaPicture *picture = NULL;
    LemmaStatus status = lemma_picture_decode(bytes, len, &picture, &error);
    free(bytes);
    if (status != LEMMA_OK) return failed(path, error);

    LemmaImage image = lemma_picture_image(picture);
    LemmaResults *results = NULL;
    status = lemma_upscale(model, &image, 1, NULL, &results, &error);
    lemma_picture_free(picture);
    if (status != LEMMA_OK) return failed(path, error);

    LemmaImage readable = lemma_results_image(results, 0);
    printf("%s\t%.3f\t%ux%u", lemma_results_text(results, 0), lemma_results_confidence(results, 0), readable.width,
           readable.height);
    size_t count = 0;
    const LemmaCharacter *characters = lemma_results_characters(results, 0, &count);
    for (size_t i = 0; i < count; i++) printf("\t%s %.2f", characters[i].text, characters[i].confidence);
    printf("\n");

    char name[4096];
    const char *dot = strrchr(path, '.');
    snprintf(name, sizeof name, "%.*s-readable.png", dot ? (int)(dot - path) : (int)strlen(path), path);
    status = lemma_image_write_png(&readable, name, true, &error);
    lemma_results_free(results);
    return status == LEMMA_OK ? 0 : failed(name, error);
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: upscale WORD.png...\n"), 2;
    if (lemma_abi_version() != LEMMA_ABI_VERSION) return fprintf(stderr, "another version of the library\n"), 1;
    LemmaError *error = NULL;
    LemmaEngine *engine = NULL;
    LemmaModel *model = NULL;
    LemmaEngineOptions options = LEMMA_ENGINE_OPTIONS_INIT;
    options.adapter = getenv("LEMMA_GPU_ADAPTER");
    if (lemma_engine_new(&options, &engine, &error) != LEMMA_OK) return failed("engine", error);
    fprintf(stderr, "on %s\n", lemma_engine_adapter(engine)->name);
    LemmaStatus status = lemma_model_shipped(engine, &model, &error);
    lemma_engine_free(engine);
    if (status != LEMMA_OK) return failed("model", error);
    int bad = 0;
    for (int i = 1; i < argc; i++) bad |= word(model, argv[i]);
    lemma_model_free(model);
    return bad;
}
