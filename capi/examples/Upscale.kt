// Not run where it was written. Needs JNA 5 (net.java.dev.jna:jna) and liblemma_gpu on jna.library.path.
import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.Structure
import com.sun.jna.ptr.PointerByReference

interface LemmaLibrary : Library {
    @Structure.FieldOrder("pixels", "width", "height", "stride", "format")
    open class Image(
        @JvmField var pixels: Pointer? = null,
        @JvmField var width: Int = 0,
        @JvmField var height: Int = 0,
        @JvmField var stride: Long = 0, // size_t on 64 bits
        @JvmField var format: Int = 0,
    ) : Structure()

    fun lemma_engine_new(options: Pointer?, out: PointerByReference, error: PointerByReference): Int
    fun lemma_model_shipped(engine: Pointer, out: PointerByReference, error: PointerByReference): Int
    fun lemma_upscale(
        model: Pointer, images: Image, count: Long, options: Pointer?, out: PointerByReference, error: PointerByReference,
    ): Int
    fun lemma_results_text(results: Pointer, i: Long): Pointer
    fun lemma_error_message(error: Pointer): Pointer
    fun lemma_error_free(error: Pointer?)
    fun lemma_results_free(results: Pointer?)
    fun lemma_model_free(model: Pointer?)
    fun lemma_engine_free(engine: Pointer?)
}

class Lemma : AutoCloseable {
    private val library = Native.load("lemma_gpu", LemmaLibrary::class.java)
    private val engine = made { out, error -> library.lemma_engine_new(null, out, error) }
    private val model = made { out, error -> library.lemma_model_shipped(engine, out, error) }

    /** The text in an image of RGBA pixels. */
    fun read(rgba: ByteArray, width: Int, height: Int): String {
        val pixels = Memory(rgba.size.toLong()).apply { write(0, rgba, 0, rgba.size) }
        val image = LemmaLibrary.Image(pixels, width, height, 0, 1)
        val results = made { out, error -> library.lemma_upscale(model, image, 1, null, out, error) }
        try {
            return library.lemma_results_text(results, 0).getString(0, "UTF-8")
        } finally {
            library.lemma_results_free(results)
        }
    }

    private fun made(call: (PointerByReference, PointerByReference) -> Int): Pointer {
        val out = PointerByReference()
        val error = PointerByReference()
        if (call(out, error) != 0) {
            val message = library.lemma_error_message(error.value).getString(0, "UTF-8")
            library.lemma_error_free(error.value)
            throw IllegalStateException(message)
        }
        return out.value
    }

    override fun close() {
        library.lemma_model_free(model)
        library.lemma_engine_free(engine)
    }
}
