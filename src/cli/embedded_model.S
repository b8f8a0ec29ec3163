/* The bytes of the default model; HEADGATE_EMBEDDED_MODEL is the path of its GGUF, undefined when there is none. */
        .section .rodata
        .balign 4096
        .global headgate_embedded_model_begin
headgate_embedded_model_begin:
#ifdef HEADGATE_EMBEDDED_MODEL
        .incbin HEADGATE_EMBEDDED_MODEL
#endif
        .global headgate_embedded_model_end
headgate_embedded_model_end:
        .byte 0
        .section .note.GNU-stack,"",@progbits
