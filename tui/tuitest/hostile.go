package tuitest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Hostile is text that would move the cursor, rename the window, write the clipboard, turn the direction of writing, hide, or
// forge a line, if it reached a terminal as it is.
const Hostile = "a\x1b[2Jb\x1b]0;title\ac\x1b]52;c;Zm9v\x1b\\d\x1bPq\x1b\\\u009b2J\u009d0;t\u009ce\u202e\u2066\u200f\u200b\ufefff\U000e0041\U000e007f" +
	"\x00\b\v\x7f\u0085\u2028\u2029\xff\r\nFORGED line\rFORGED\tend\x1b]0;never ended"

// Poison puts hostile text into every string that v, a pointer, leads to; into those of named types, as states and phases
// are, only with named, and then into nothing else. Empty strings stay empty where keepEmpty names their field.
func Poison(v any, named bool, keepEmpty ...string) { poison(reflect.ValueOf(v), named, keepEmpty) }

func poison(v reflect.Value, named bool, keepEmpty []string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			poison(v.Elem(), named, keepEmpty)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), named, keepEmpty)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			poison(value, named, keepEmpty)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f, field := v.Field(i), v.Type().Field(i)
			if field.IsExported() && !(f.Kind() == reflect.String && f.String() == "" && slices.Contains(keepEmpty, field.Name)) {
				poison(f, named, keepEmpty)
			}
		}
	case reflect.String:
		if v.CanSet() && named == (v.Type().Name() != "string") {
			v.SetString(Hostile)
		}
	}
}

// CheckHarmless fails the test where an output holds what steers a terminal, or a line that hostile text forged.
func CheckHarmless(tb testing.TB, where, output string) {
	tb.Helper()
	if !strings.Contains(output, "FORGED") {
		tb.Errorf("%s shows nothing of the hostile text: the test is blind\n%.300q", where, output)
	}
	for line := range strings.SplitSeq(output, "\n") {
		if strings.HasPrefix(line, "FORGED") {
			tb.Errorf("%s: a line is forged: %q", where, output[max(strings.Index(output, "\n"+line)-200, 0):])
			return
		}
	}
	at := strings.IndexFunc(output, func(r rune) bool {
		return r != '\n' && (r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp))
	})
	if at >= 0 {
		tb.Errorf("%s: %q gets through: %q", where, output[at:min(at+4, len(output))], output[max(at-40, 0):min(at+40, len(output))])
	}
}
