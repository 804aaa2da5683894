/*
 * token_vectors.h - the signatures of RFC 7515 (appendix A) and RFC 7520 (4.1 to 4.4), with the public part
 * of their keys. Their payloads are no claims of ours, so a good signature shows in what is missed
 * afterwards.
 */
#ifndef TEST_TOKEN_VECTORS_H
#define TEST_TOKEN_VECTORS_H

#include "plugin/token.h"

static const struct {
	const char *name;
	const char *keys;
	const char *token;
	enum token_fault fault;
} token_vectors[] = {
    {.name = "RFC 7515, A.1",
     .keys = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
             "1qS0gZH75aKtMN3Yj0iPS4h"
             "cgUuTwjAzZr1Z9CAow\"}]}",
     .token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
              "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGF"
              "tcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
     .fault = TOKEN_MISSING_CLAIM},
    {.name = "RFC 7515, A.2",
     .keys = "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
             "wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw"
             "-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_"
             "7OMg0LOL-bSf63kpa"
             "SHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
             "I5IhlJH7aGhyxX"
             "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}",
     .token = "eyJhbGciOiJSUzI1NiJ9."
              "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29"
              "0Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"
              "lF5YKt_O8W2Fp5"
              "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
              "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar"
              "ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
              "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
              "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
     .fault = TOKEN_MISSING_CLAIM},
    {.name = "RFC 7515, A.3",
     .keys = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
             "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\""
             ":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
     .token =
         "eyJhbGciOiJFUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29"
         "0Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     .fault = TOKEN_MISSING_CLAIM},
    {.name = "RFC 7515, A.4",
     .keys = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":"
             "\"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5E"
             "OnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk\",\"y\":\"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-"
             "x3S1WDhjDl"
             "y79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\"}]}",
     .token = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-"
              "mZZqwqT2SI-K"
              "GDKB34XO0aw_"
              "7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
     .fault = TOKEN_MALFORMED},
    {.name = "RFC 7520, 4.1",
     .keys = "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":"
             "\"n4EPtAOCc"
             "9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"
             "AJmSCpMaJMRBSFKrKb2wqVwGU"
             "_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-"
             "OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTw"
             "Jlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__"
             "kRhuaxwUk"
             "Rz5iaiQkqgc5gHdrNP5zw\",\"e\":\"AQAB\"}]}",
     .token = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
              "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2l"
              "uZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb"
              "24ndCBrZWV"
              "wIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4."
              "MRjdkly7_-oTPTS"
              "3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-"
              "BDkoBwA78185hX"
              "-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_"
              "qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePP"
              "QdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_"
              "fcIe8u9ipH84ogoree"
              "7vjbU5y18kDquDg",
     .fault = TOKEN_MALFORMED},
    {.name = "RFC 7520, 4.2",
     .keys = "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"n\":"
             "\"n4EPtAOCc"
             "9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_"
             "AJmSCpMaJMRBSFKrKb2wqVwGU"
             "_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-"
             "OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTw"
             "Jlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__"
             "kRhuaxwUk"
             "Rz5iaiQkqgc5gHdrNP5zw\",\"e\":\"AQAB\"}]}",
     .token = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
              "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2l"
              "uZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb"
              "24ndCBrZWV"
              "wIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4."
              "cu22eBqkYDKgIlT"
              "pzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_"
              "1OLPpcbUrhiUSM"
              "xbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_"
              "ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8"
              "ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_"
              "jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4"
              "ifKo8DYM-X72Eaw",
     .fault = TOKEN_MALFORMED},
    {.name = "RFC 7520, 4.3",
     .keys =
         "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\",\"crv\":\"P-"
         "521\","
         "\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt\","
         "\"y\""
         ":\"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1\"}]}",
     .token = "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9."
              "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2l"
              "uZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb"
              "24ndCBrZWV"
              "wIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.AE_R_"
              "YZCChjn479"
              "1jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_"
              "sDDyYjnAMDxXPn7XrT0"
              "lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
     .fault = TOKEN_MALFORMED},
    {.name = "RFC 7520, 4.4",
     .keys = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"018c0ae5-4d9b-471b-bfd6-eef314bc7037\",\"use\":\"sig\","
             "\"alg\":\"H"
             "S256\",\"k\":\"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg\"}]}",
     .token = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9."
              "SXTigJlzIGEgZGFuZ2Vyb3V"
              "zIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmI"
              "HlvdSBkb24"
              "ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0b"
              "y4.s0h6KTh"
              "zkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
     .fault = TOKEN_MALFORMED},
};

#endif
