/*
 * errors.h - the named errors of the wire contract, one table for both programs.
 */
#ifndef CHAT_ERRORS_H
#define CHAT_ERRORS_H

/* name, text in English, text in Spanish */
#define CHAT_ERRORS(X)                                                                                       \
	X(INVALID_JSON, "invalid_json", "not valid JSON", "no es JSON válido")                                   \
	X(INVALID_UTF8, "invalid_utf8", "not valid UTF-8", "no es UTF-8 válido")                                 \
	X(NOT_AN_OBJECT, "not_an_object", "a JSON object is expected", "se espera un objeto JSON")               \
	X(MISSING_FIELD, "missing_field", "a required field is missing", "falta un campo obligatorio")           \
	X(UNKNOWN_FIELD, "unknown_field", "this field is not known", "este campo no se conoce")                  \
	X(WRONG_TYPE, "wrong_type", "this field must be a string", "este campo debe ser texto")                  \
	X(TOO_LONG, "too_long", "too long", "demasiado largo")                                                   \
	X(EMPTY_MESSAGE, "empty_message", "the message is empty", "el mensaje está vacío")                       \
	X(INVALID_EMAIL, "invalid_email", "not a valid address", "no es una dirección válida")                   \
	X(INVALID_ROOM, "invalid_room", "not a valid room name", "no es un nombre de sala válido")               \
	X(INVALID_TIMESTAMP, "invalid_timestamp", "not an RFC 3339 time", "no es una hora RFC 3339")             \
	X(INVALID_REF, "invalid_ref", "ref must be 1 to 64 bytes", "ref debe tener de 1 a 64 bytes")             \
	X(INVALID_CHARACTER, "invalid_character", "U+0000 is not allowed", "U+0000 no está permitido")           \
	X(ADDRESS_MISMATCH, "address_mismatch", "the fields do not fit the address",                             \
	  "los campos no corresponden al destino")                                                               \
	X(SENDER_MISMATCH, "sender_mismatch", "from must be your own address",                                   \
	  "from debe ser su propia dirección")                                                                   \
	X(DUPLICATE_KEY, "duplicate_key", "a field appears twice", "un campo aparece dos veces")                 \
	X(UNKNOWN_TYPE, "unknown_type", "this type of frame is not known", "este tipo no se conoce")             \
	X(RATE_LIMITED, "rate_limited", "too many messages, slow down",                                          \
	  "demasiados mensajes, más despacio por favor")                                                         \
	X(NOT_ALLOWED, "not_allowed", "not allowed", "no permitido")                                             \
	X(INVALID_TOKEN, "invalid_token", "this token is not accepted", "este token no se acepta")               \
	X(MUTED, "muted", "you may not say anything here at present", "por ahora no puede escribir aquí")        \
	X(ROOM_CLOSED, "room_closed", "this room is closed", "esta sala está cerrada")                           \
	X(ROOM_RENAMED, "room_renamed", "this room has another name now", "esta sala tiene ahora otro nombre")   \
	X(UNAVAILABLE, "unavailable", "not available now, try again", "no disponible ahora, inténtelo de nuevo")

enum chat_error {
	CHAT_OK = 0,
#define X(id, name, en, es) CHAT_ERROR_##id,
	CHAT_ERRORS(X)
#undef X
	    CHAT_ERROR_COUNT
};

enum chat_language { CHAT_ENGLISH, CHAT_SPANISH };

/* The wire name ("invalid_json"). Never NULL for a real error. */
const char *chat_error_name(enum chat_error e);

/* The sentence for people. */
const char *chat_error_text(enum chat_error e, enum chat_language language);

#endif
