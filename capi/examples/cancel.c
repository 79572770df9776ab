/* Progress and stopping: super-resolves a made-up image eight times, in passes of one, and stops after the third. */
#include <lemma_gpu.h>
#include <stdio.h>
#include <stdlib.h>

static bool until_three(size_t done, size_t all, void *user) {
    *(size_t *)user = done;
    printf("%zu of %zu\n", done, all);
    return done < 3;
}

int main(void) {
    LemmaError *error = NULL;
    LemmaEngine *engine = NULL;
    LemmaModel *model = NULL;
    LemmaResults *results = NULL;
    LemmaEngineOptions engine_options = LEMMA_ENGINE_OPTIONS_INIT;
    engine_options.adapter = getenv("LEMMA_GPU_ADAPTER");
    static uint8_t gray[16][64];
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 64; x++) gray[y][x] = (x / 4 + y / 4) % 2 ? 230 : 20;
    const LemmaImage one = { &gray[0][0], 64, 16, sizeof gray[0], LEMMA_GRAY8 };
    const LemmaImage images[8] = { one, one, one, one, one, one, one, one };

    if (lemma_engine_new(&engine_options, &engine, &error) != LEMMA_OK ||
        lemma_model_shipped(engine, &model, &error) != LEMMA_OK) {
        fprintf(stderr, "%s\n", lemma_error_message(error));
        return 1;
    }
    size_t seen = 0;
    LemmaOptions options = LEMMA_OPTIONS_INIT;
    options.progress = until_three;
    options.user = &seen;
    options.batch = 1;
    options.no_text = true;
    LemmaStatus status = lemma_upscale(model, images, 8, &options, &results, &error);
    printf("status %d, %zu done, results %s: %s\n", (int)status, seen, results ? "there" : "none",
           lemma_error_message(error));
    int bad = status != LEMMA_CANCELLED || lemma_error_status(error) != status || results || seen != 3;
    lemma_error_free(error);
    lemma_model_free(model);
    lemma_engine_free(engine);
    return bad;
}
