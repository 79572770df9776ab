/* Many threads on one model and one reader: threads WORD.png reads the word in each, and expects one answer. */
#include <lemma_gpu.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

static const LemmaModel *model;
static const LemmaReader *reader;
static LemmaImage image;

static void *work(void *out) {
    char *text = out;
    for (int round = 0; round < 2; round++) {
        LemmaResults *upscaled = NULL, *read = NULL;
        LemmaImage readable;
        text[0] = '\0';
        if (lemma_upscale(model, &image, 1, NULL, &upscaled, NULL) != LEMMA_OK) return NULL;
        readable = lemma_results_image(upscaled, 0);
        if (lemma_read(reader, &readable, 1, NULL, &read, NULL) == LEMMA_OK)
            snprintf(text, 64, "%s / %s", lemma_results_text(upscaled, 0), lemma_results_text(read, 0));
        lemma_results_free(read);
        lemma_results_free(upscaled);
    }
    return NULL;
}

int main(int argc, char **argv) {
    static unsigned char bytes[1 << 20];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    size_t len = file ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file) fclose(file);
    LemmaEngineOptions options = LEMMA_ENGINE_OPTIONS_INIT;
    options.adapter = getenv("LEMMA_GPU_ADAPTER");
    LemmaError *error = NULL;
    LemmaEngine *engine = NULL;
    LemmaModel *the_model = NULL;
    LemmaReader *the_reader = NULL;
    LemmaPicture *picture = NULL;
    if (lemma_picture_decode(bytes, len, &picture, &error) != LEMMA_OK ||
        lemma_engine_new(&options, &engine, &error) != LEMMA_OK ||
        lemma_model_shipped(engine, &the_model, &error) != LEMMA_OK ||
        lemma_reader_shipped(engine, &the_reader, &error) != LEMMA_OK) {
        fprintf(stderr, "%s\n", lemma_error_message(error));
        return 1;
    }
    model = the_model;
    reader = the_reader;
    image = lemma_picture_image(picture);

    pthread_t threads[THREADS];
    char texts[THREADS][64];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, texts[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    int bad = 0;
    for (int i = 0; i < THREADS; i++) bad |= texts[i][0] == '\0' || strcmp(texts[i], texts[0]);
    printf("%s, %d times: %s\n", texts[0], THREADS, bad ? "not the same" : "the same");

    lemma_reader_free(the_reader);
    lemma_model_free(the_model);
    lemma_engine_free(engine);
    lemma_picture_free(picture);
    return bad;
}
