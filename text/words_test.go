package text

import (
	"strings"
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(int64(-12006)), "-12,006"}, {Count(1_234_567), "1,234,567"},
		{Counted(0, "machine"), "0 machines"}, {Counted(1, "machine"), "1 machine"}, {Counted(int64(12006), "process"), "12,006 processes"},
		{Noun(1, "process"), "process"}, {Noun(2, "module"), "modules"},
		{Bytes(0), "0 B"}, {Bytes(999), "999 B"}, {Bytes(1200), "1.2 KB"}, {Bytes(999_949), "999.9 KB"}, {Bytes(999_950), "1.0 MB"},
		{Bytes(3_400_000), "3.4 MB"}, {Bytes(5e15), "5000.0 TB"},
		{Duration(-time.Second), "0 ms"}, {Duration(0), "0 ms"}, {Duration(99 * time.Microsecond), "<0.1 ms"},
		{Duration(400 * time.Microsecond), "0.4 ms"}, {Duration(12_345 * time.Microsecond), "12.3 ms"}, {Duration(99_950 * time.Microsecond), "100 ms"},
		{Duration(812 * time.Millisecond), "812 ms"}, {Duration(999_500 * time.Microsecond), "1.0 s"}, {Duration(3200 * time.Millisecond), "3.2 s"},
		{Duration(59_950 * time.Millisecond), "1m 00s"}, {Duration(101 * time.Second), "1m 41s"},
		{Seconds(-time.Minute), "0s"}, {Seconds(7400 * time.Millisecond), "7s"}, {Seconds(59_500 * time.Millisecond), "1m 00s"},
		{Seconds(101 * time.Second), "1m 41s"}, {Seconds(2*time.Hour + 5*time.Minute + 59*time.Second), "2h 05m"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestRedact(t *testing.T) {
	const key = "wJalr/K7+MDENG"
	for _, test := range []struct {
		in, want string
		secrets  []string
	}{
		{"nothing here", "nothing here", []string{"", key}},
		{"the key " + key + ".", "the key [redacted].", []string{key}},
		{"as a URL has it: wJalr%2FK7%2BMDENG&x", "as a URL has it: [redacted]&x", []string{key}},
		{key + "longer", "[redacted]", []string{key, key + "longer"}},
		{"https://b/k?X-Amz-Credential=AKID%2F2026&X-Amz-Expires=60&X-Amz-Signature=0af1", "https://b/k?X-Amz-Credential=[redacted]&X-Amz-Expires=60&X-Amz-Signature=[redacted]", nil},
		{`"x-amz-security-token%3DFwoG" <a>`, `"x-amz-security-token%3D[redacted]" <a>`, nil},
		{"Authorization: FlyV1 fm2_lJPE+a/b==,fo1_abc_d-e and tsec_xyz", "Authorization: FlyV1 [redacted],[redacted] and [redacted]", nil},
		{"fo1_ and fm2 and my_fo1", "fo1_ and fm2 and my_fo1", nil},
	} {
		got := Redact(test.in, test.secrets...)
		if got != test.want || Redact(got, test.secrets...) != got {
			t.Errorf("Redact(%q) = %q, want %q", test.in, got, test.want)
		}
	}
	if got := Redact(strings.Repeat("x", 3), "x"); got != strings.Repeat("[redacted]", 3) {
		t.Error(got)
	}
}

func TestTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Second: "10s", 0: "0s", 90 * time.Second: "1m30s", time.Hour + time.Second: "1h0m1s",
	} {
		if got := Time(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
