/* test_web_name.c - which files are served, and as what */
#include "bridge/web_name.h"

#include "tests/unit/guarded.h"

static void parts(void **state)
{
	(void)state;
	static const char *const fine[] = {"a", "app.js", "Logo_2.x.svg", "-", "_", "a..b", "x.", "0"};
	static const char *const bad[] = {"",    ".",     "..",    ".env",  "...", "a/b",  "/a",       "a/",
	                                  "a b", "a\\b",  "a%20b", "a\nb",  "a:b", "~a",   "\xc3\xb1", "a\x7f",
	                                  "a+b", "a@b.c", "a*",    "a?b.c", "#a",  " a.js"};
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
		assert_true(web_part_valid(fine[i]));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(web_part_valid(bad[i]));
	for (int c = 1; c < 256; c++) {
		char text[] = {'a', (char)c, '\0'};
		bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		               strchr("-_.", c) != NULL;
		assert_int_equal(web_part_valid(text), allowed);
	}
}

static void kinds(void **state)
{
	(void)state;
	static const struct {
		const char *name, *type;
		bool policy;
	} cases[] = {
	    {"index.html", "text/html; charset=utf-8", true},
	    {"style.css", "text/css; charset=utf-8", false},
	    {"a.b.js", "text/javascript; charset=utf-8", false},
	    {"a.mjs", "text/javascript; charset=utf-8", false},
	    {"a.json", "application/json", false},
	    {"img/a.svg", "image/svg+xml; charset=utf-8", true},
	    {"a.png", "image/png", false},
	    {"favicon.ico", "image/x-icon", false},
	    {"robots.txt", "text/plain; charset=utf-8", false},
	    {"a.woff2", "font/woff2", false},
	    {"a.webmanifest", "application/manifest+json", false},
	};
	static const char *const none[] = {"",         "a",        "a.",      "js",      "a.JS",
	                                   "a.js.bak", "a.htm",    "a.html~", "a.xhtml", "a.db",
	                                   "a.woff",   "img.js/a", "a.jsx",   "a.j"};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct web_kind *kind = web_kind_of(cases[i].name);
		assert_non_null(kind);
		assert_string_equal(kind->content_type, cases[i].type);
		assert_int_equal(strstr(kind->fields, "Content-Security-Policy: default-src 'none';") != NULL,
		                 cases[i].policy);
		size_t len = strlen(kind->fields);
		assert_true(len == 0 || strcmp(kind->fields + len - 2, "\r\n") == 0);
		assert_int_equal(strcspn(kind->fields, "\n"), len == 0 ? 0 : len - 1); /* one line */
	}
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_null(web_kind_of(none[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts),
	    cmocka_unit_test(kinds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
