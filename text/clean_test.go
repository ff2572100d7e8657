package text

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"plain, with ~ and spaces ":       "plain, with ~ and spaces ",
		"\x1b[31mred\x1b[0m":              "red",
		"\x1b]0;a title\a after":          " after",
		"\x1b]0;a title without an end":   "",
		"\x1b]8;;http://x\x1b\\y\x1b]8;;": "y",
		"\x1b]52;c;YQ==\x07clipboard":     "clipboard",
		"bell\a null\x00 back\b del\x7f":  "bell null back del",
		"C1 \u009b31m and raw \x9b31m":    "C1 31m and raw 31m",
		"two\nlines":                      "two lines",
		"two\r\nlines":                    "two lines",
		"over\rwritten":                   "over written",
		"a\tb\vc\fd\u0085e\u2028f\u2029g": "a b c d e f g",
		"\u202eturned\u202c \u2066isolated\u2069 \u200fmark": "turned isolated mark",
		"zero\u200bwidth \ufeffBOM soft\u00adhyphen":         "zerowidth BOM softhyphen",
		"tags \U000e0041\U000e0042\U000e007f.":               "tags .",
		"halves \xed\xac\x80\xed\xb1\x81.":                   "halves .",
		"not \xffUTF-8 \xe2\x80":                             "not UTF-8 ",
		"hidden \xe2\x1b[m\x80\xae in a sequence":            "hidden  in a sequence",
		"e\u0301 \u65e5\u672c\u8a9e \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \U0001f600": "e\u0301 \u65e5\u672c\u8a9e \u05e9\u05dc\u05d5\u05dd \u0939\u093f\u0928\u094d\u0926\u0940 \U0001f600",
		"family \U0001f469\u200d\U0001f467": "family \U0001f469\U0001f467",
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestBlock(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "",
		"one\ntwo\r\nthree\n":                "one\ntwo\nthree\n",
		"over\rwritten\n\ttab\u2028not":      "over written\n tab not",
		"\x1b]0;no end\nthe next line stays": "\nthe next line stays",
		"\x1b[31mred\n\u202eturned":          "red\nturned",
	} {
		if got := Block(in); got != want {
			t.Errorf("Block(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for in, want := range map[string]string{
		`plain \\u001b \"quoted\" \/ \n \u00e9 \ud83d\ude00`: "plain \\u001b \"quoted\" / \n é 😀",
		`red \u001b[31mx\u001B[0m \u001b]0;title\u0007 \b\f`: "red x   ",
		`a\r\nb\rc\td`:                       "a\nb c d",
		"\u009b31m \u202eright to left":      "31m right to left",
		`\u009b31m \u202e\u007f` + "\x7f":    "31m ",
		`tags \udb40\udc41.`:                 "tags .",
		`broken halves \udb40\u001b\udc41.`:  "broken halves .",
		"halves apart \\udb40\u202e\\udc41.": "halves apart .",
		`half \udb40 \udc41.`:                "half  .",
		"not \xff UTF-8":                     "not  UTF-8",
		`<b> & "quotes"` + `\u003c`:          "",
	} {
		line := `{"a":["` + in + `"],"n":1.50}` + "\n"
		var document struct {
			A []string
			N json.Number
		}
		cleaned := JSON([]byte(line))
		err := json.Unmarshal(cleaned, &document)
		switch {
		case want == "" && err == nil:
			t.Errorf("%s became valid: %s", line, cleaned)
		case want == "":
		case err != nil || document.A[0] != want || document.N != "1.50":
			t.Errorf("%s became %q, %v, want %q", line, document, err, want)
		}
	}
}

func TestJSONThatIsBroken(t *testing.T) {
	for in, want := range map[string]string{
		"{\"cut\": \"in \u009b the mid":       `{"cut": "in  the mid`,
		"\x1b[31m {\"a\":1}\r\n":              "[31m {\"a\":1} \n",
		"{\"raw\": \"\x1b]0;title\a\"}":       `{"raw": ""}`,
		"{\n\t\"indented\": true\n}":          "{\n \"indented\": true\n}",
		"{\"bad escape\": \"\\\u202eu001b\"}": `{"bad escape": "\\u001b"}`,
	} {
		if got := string(JSON([]byte(in))); got != want {
			t.Errorf("JSON(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSONKeepsWhatIsPlain(t *testing.T) {
	plain := []byte(`{"v":1,"text":"a <b> & \"c\" \\ \n d"}` + "\n")
	if got := JSON(plain); string(got) != string(plain) {
		t.Errorf("%s", got)
	}
	if got := string(JSON([]byte(`{"text":"é <b> & c"}`))); got != `{"text":"é <b> & c"}` {
		t.Errorf("%s", got)
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		in   string
		most int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"äöü", 3, "äöü"}, {"äöüß", 3, "äö…"}, {"abc", 1, "…"}, {"abc", 0, "…"},
	} {
		if got := Shorten(test.in, test.most); got != test.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", test.in, test.most, got, test.want)
		}
	}
}

// isSafe reports whether every rune of s may be printed on one line.
func isSafe(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp) || r == utf8.RuneError
	})
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{
		"", "\x1b[31mred", "a\r\nb", "\x1b]0;\xc3\x9c\a", "\xe2\x1b[m\x80\xae", `{"a":"\udb40\udc41"}`, `"\udb40\u001b\udc41"`, "\"\\\u202eu001b\"", `"\\"\u001b"`,
		"\xc2\x1b[m\x9b", "\u200b\x1b\u200b[31m",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line, block, document := Line(s), Block(s), JSON([]byte(s))
		if !isSafe(line) || Line(line) != line {
			t.Errorf("Line(%q) = %q, again %q", s, line, Line(line))
		}
		if !isSafe(strings.ReplaceAll(block, "\n", "")) || Block(block) != block {
			t.Errorf("Block(%q) = %q, again %q", s, block, Block(block))
		}
		if !isSafe(strings.ReplaceAll(string(document), "\n", "")) || string(JSON(document)) != string(document) {
			t.Errorf("JSON(%q) = %q, again %q", s, document, JSON(document))
		}
		var before, after any
		if json.Unmarshal([]byte(s), &before) == nil && json.Unmarshal(document, &after) != nil {
			t.Errorf("JSON(%q) = %q is broken", s, document)
		}
		if !stringsAreSafe(after) {
			t.Errorf("JSON(%q) = %q decodes to %q", s, document, after)
		}
	})
}

// stringsAreSafe looks through the strings of a decoded document, keys too.
func stringsAreSafe(v any) bool {
	switch v := v.(type) {
	case string:
		return isSafe(strings.ReplaceAll(v, "\n", ""))
	case []any:
		for _, element := range v {
			if !stringsAreSafe(element) {
				return false
			}
		}
	case map[string]any:
		for key, element := range v {
			if !stringsAreSafe(key) || !stringsAreSafe(element) {
				return false
			}
		}
	}
	return true
}
