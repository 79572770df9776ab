// Not run where it was written. Needs .NET 8 and liblemma_gpu beside the program; <AllowUnsafeBlocks> on.
using System.Runtime.InteropServices;

var lemma = new Lemma();
var gray = new byte[16 * 64];
Console.WriteLine(lemma.Upscale(gray, 64, 16));

sealed unsafe class Lemma : IDisposable
{
    [StructLayout(LayoutKind.Sequential)]
    struct Image { public byte* Pixels; public uint Width, Height; public nuint Stride; public int Format; }

    [DllImport("lemma_gpu")] static extern int lemma_engine_new(void* options, out nint engine, out nint error);
    [DllImport("lemma_gpu")] static extern int lemma_model_shipped(nint engine, out nint model, out nint error);
    [DllImport("lemma_gpu")]
    static extern int lemma_upscale(nint model, Image* images, nuint count, void* options, out nint results, out nint error);
    [DllImport("lemma_gpu")] static extern nint lemma_results_text(nint results, nuint i);
    [DllImport("lemma_gpu")] static extern nint lemma_error_message(nint error);
    [DllImport("lemma_gpu")] static extern void lemma_error_free(nint error);
    [DllImport("lemma_gpu")] static extern void lemma_results_free(nint results);
    [DllImport("lemma_gpu")] static extern void lemma_model_free(nint model);
    [DllImport("lemma_gpu")] static extern void lemma_engine_free(nint engine);

    readonly nint engine, model;

    public Lemma()
    {
        Check(lemma_engine_new(null, out engine, out var error), error);
        Check(lemma_model_shipped(engine, out model, out error), error);
    }

    /// <summary>The text in an image of luma.</summary>
    public string Upscale(byte[] gray, uint width, uint height)
    {
        fixed (byte* pixels = gray)
        {
            var image = new Image { Pixels = pixels, Width = width, Height = height, Format = 3 };
            Check(lemma_upscale(model, &image, 1, null, out var results, out var error), error);
            try { return Marshal.PtrToStringUTF8(lemma_results_text(results, 0))!; }
            finally { lemma_results_free(results); }
        }
    }

    static void Check(int status, nint error)
    {
        if (status == 0) return;
        var message = Marshal.PtrToStringUTF8(lemma_error_message(error));
        lemma_error_free(error);
        throw new InvalidOperationException($"{message} (status {status})");
    }

    public void Dispose() { lemma_model_free(model); lemma_engine_free(engine); }
}
