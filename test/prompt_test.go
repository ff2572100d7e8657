package test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// asked is the binary on a terminal of its own, beside a bucket.
type asked struct {
	t        *testing.T
	cmd      *exec.Cmd
	terminal *os.File
	seen     string
	bucket   bucket
}

// bucket is the app's, on a server of its own.
type bucket struct{ *s3mem.Backend }

// bucketOf gives a bucket that holds these objects, and the environment in which a command finds it.
func bucketOf(t testing.TB, objects map[string]string) (bucket, []string) {
	t.Helper()
	b := bucket{s3mem.New()}
	if err := b.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	for key, body := range objects {
		if _, err := b.PutObject(t.Context(), "bucket", key, nil, strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(gofakes3.New(b).Server())
	t.Cleanup(server.Close)
	return b, []string{"FLY_API_TOKEN=x", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_BUCKET=bucket", "AWS_REGION=auto", "AWS_ENDPOINT_URL_S3=" + server.URL}
}

// ofBucket are the options with which no machine is asked where it is.
var ofBucket = []string{"--app", "my-app", "--otp-app", "counter", "--storage", "env"}

func (b bucket) object(t *testing.T, key string) string {
	t.Helper()
	object, err := b.GetObject(t.Context(), "bucket", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Contents.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(object.Contents); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

// ask runs a command of which the app's bucket holds these objects.
func ask(t *testing.T, objects map[string]string, args ...string) *asked {
	t.Helper()
	b, env := bucketOf(t, objects)
	a := &asked{t: t, bucket: b}
	a.cmd = exec.Command(binary(t), append(args, ofBucket...)...)
	a.cmd.Dir = t.TempDir()
	a.cmd.Env = append(append(os.Environ(), "CI=", "TERM=dumb", "HOME="+a.cmd.Dir), env...)
	var err error
	if a.terminal, err = pty.Start(a.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.cmd.Process.Kill() // where the test failed half-way
		_ = a.terminal.Close()
	})
	return a
}

func (a *asked) until(text string) {
	a.t.Helper()
	a.seen = readUntil(a.t, a.terminal, a.seen, text)
}

func (a *asked) answer(keys string) {
	a.t.Helper()
	if _, err := a.terminal.WriteString(keys); err != nil {
		a.t.Fatal(err)
	}
}

// ends reads to the command's end, and gives its exit code and all that it said.
func (a *asked) ends() (int, string) {
	a.t.Helper()
	var rest bytes.Buffer
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = rest.ReadFrom(a.terminal) // EIO is Linux's end of a terminal
		_ = a.cmd.Wait()
	}()
	select {
	case <-over:
	case <-time.After(patience):
		a.t.Fatalf("it does not end\n%s", a.seen)
	}
	return a.cmd.ProcessState.ExitCode(), a.seen + rest.String()
}

func (a *asked) object(key string) string {
	a.t.Helper()
	return a.bucket.object(a.t, key)
}

const (
	metadataKey = "releases/counter-current.json"
	lockKey     = "releases/counter-deploy.lock"
	upgraded    = `{"image_ref":"registry.fly.io/my-app:v1","hot_upgrade":{"version":"1.2.4","deployed_at":"2026-01-01T00:00:00Z"}}`
)

// A question takes ctrl-c, a wrong name and the end of the input for a no: nothing is changed. The name is a yes.
func TestQuestionsBeforeSomethingIsTakenAway(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	lock := fmt.Sprintf(`{"locked_by":"bob@desk","locked_at":%q,"expires_at":%q,"deployment_id":"01K"}`, now.Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano))
	for _, command := range []struct {
		args      []string
		key, body string
		says      string
		done      string // what is in the object afterwards
	}{
		{[]string{"withdraw"}, metadataKey, upgraded, "This takes hot upgrade 1.2.4 out of the record of my-app.", `"hot_upgrade": null`},
		{[]string{"lock", "release"}, lockKey, lock, "held by  bob@desk", `"released":true`},
	} {
		for _, answer := range []struct {
			name, keys string
			code       int
			says       string
		}{
			{"ctrl-c", "\x03", 130, "flydeploy: nothing was changed"},
			{"ctrl-d", "\x04", 130, "flydeploy: nothing was changed"},
			{"wrong", "my-application\n", 130, "that is not the app's name: nothing was changed"},
			{"right", "my-app\n", 0, ""},
		} {
			t.Run(strings.Join(command.args, " ")+" "+answer.name, func(t *testing.T) {
				t.Parallel()
				a := ask(t, map[string]string{command.key: command.body}, command.args...)
				a.until("to go on: ")
				a.answer(answer.keys)
				code, text := a.ends()
				if code != answer.code || !strings.Contains(text, answer.says) || !strings.Contains(text, command.says) {
					t.Errorf("exit %d\n%s", code, text)
				}
				if body := a.object(command.key); (answer.code == 0) != strings.Contains(body, command.done) || answer.code != 0 && body != command.body {
					t.Errorf("afterwards: %s", body)
				}
			})
		}
	}
}

// Nobody is asked where there is nothing to take away, and what was not asked about stays.
func TestQuestionsAboutWhatIsThere(t *testing.T) {
	t.Parallel()
	t.Run("nothing to withdraw", func(t *testing.T) {
		t.Parallel()
		code, text := ask(t, nil, "withdraw").ends()
		if code != 1 || !strings.Contains(text, "current.json names no upgrade") || strings.Contains(text, "to go on") {
			t.Errorf("exit %d\n%s", code, text)
		}
	})
	t.Run("another upgrade meanwhile", func(t *testing.T) {
		t.Parallel()
		a := ask(t, map[string]string{metadataKey: upgraded}, "withdraw")
		a.until("to go on: ")
		other := strings.Replace(upgraded, "1.2.4", "1.2.5", 1)
		if _, err := a.bucket.PutObject(t.Context(), "bucket", metadataKey, nil, strings.NewReader(other), int64(len(other))); err != nil {
			t.Fatal(err)
		}
		a.answer("my-app\n")
		if code, text := a.ends(); code != 1 || !strings.Contains(text, "changed meanwhile: nothing was withdrawn") || a.object(metadataKey) != other {
			t.Errorf("exit %d\n%s\n%s", code, text, a.object(metadataKey))
		}
	})
}
