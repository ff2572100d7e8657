package isolation

import "testing"

func TestMappedPaths(t *testing.T) {
	const own = "/tmp/state/m1"
	paths := machinePaths(own)
	for text, want := range map[string]string{
		"/app/bin/sample":                       own + "/app/bin/sample",
		"/app":                                  own + "/app",
		"cat /proc/*/environ":                   "cat " + own + "/proc/*/environ",
		"cd /tmp/ && cp /app/a /app/b":          "cd " + own + "/tmp/ && cp " + own + "/app/a " + own + "/app/b",
		"A=/app:/tmp":                           "A=" + own + "/app:" + own + "/tmp",
		`x "/app" '/proc/1'`:                    `x "` + own + `/app" '` + own + `/proc/1'`,
		own + "/app/bin":                        own + "/app/bin",
		"/usr/local/app/bin /srv/tmp /appendix": "/usr/local/app/bin /srv/tmp /appendix",
		"http://127.0.0.1:1/app/x":              "http://127.0.0.1:1/app/x",
		"H4sI+/app/Zm9v/tmp/":                   "H4sI+/app/Zm9v/tmp/",
		"/app /app /app":                        own + "/app " + own + "/app " + own + "/app",
		"/bin/sh":                               "/bin/sh",
	} {
		if got := paths.mapped(text); got != want {
			t.Errorf("mapped(%q)\n got %q\nwant %q", text, got, want)
		}
	}
}
