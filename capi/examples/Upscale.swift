// Not run where it was written. swiftc -I include-with-module-map -L lib Upscale.swift
import LemmaGPU

struct LemmaFailure: Error { let status: LemmaStatus; let message: String }

/// Calls a function of the library; what it fails with is thrown.
func check(_ call: (UnsafeMutablePointer<OpaquePointer?>) -> LemmaStatus) throws {
    var error: OpaquePointer?
    let status = call(&error)
    guard status == 0 else {
        defer { lemma_error_free(error) }
        throw LemmaFailure(status: status, message: String(cString: lemma_error_message(error)))
    }
}

final class Lemma {
    private var engine: OpaquePointer?
    private var model: OpaquePointer?

    init() throws {
        try check { lemma_engine_new(nil, &engine, $0) }
        try check { lemma_model_shipped(engine, &model, $0) }
    }

    deinit {
        lemma_model_free(model)
        lemma_engine_free(engine)
    }

    /// `pixels` are RGBA, as a CGContext has them.
    func upscale(_ pixels: [UInt8], width: UInt32, height: UInt32) throws -> (text: String, rgb: [UInt8]) {
        var results: OpaquePointer?
        try pixels.withUnsafeBufferPointer { bytes in
            var image = LemmaImage(pixels: bytes.baseAddress, width: width, height: height, stride: 0, format: 1)
            try check { lemma_upscale(model, &image, 1, nil, &results, $0) }
        }
        defer { lemma_results_free(results) }
        let out = lemma_results_image(results, 0)
        let bytes = UnsafeBufferPointer(start: out.pixels, count: Int(out.height) * out.stride)
        return (String(cString: lemma_results_text(results, 0)), Array(bytes))
    }
}
