/*
 * secret.c - 256 random bits as text.
 */
#include "secret.h"

#include "common/settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

_Static_assert(CREDENTIAL_HEX == SECRET_HEX && DEVICE_KEY_HEX == SECRET_HEX,
               "what bridges are given is a secret whole");

bool secret_draw(char out[SECRET_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t random[SECRET_HEX / 2];
	ssize_t n;
	size_t i;

	do
		n = getrandom(random, sizeof(random), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(random))
		return false;
	for (i = 0; i < sizeof(random); i++) {
		out[2 * i] = digits[random[i] >> 4];
		out[2 * i + 1] = digits[random[i] & 15];
	}
	out[SECRET_HEX] = '\0';
	explicit_bzero(random, sizeof(random));
	return true;
}
