package fly

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"flydeploy/engine"
)

// serveRegistry serves a Docker registry and gives its HOST:PORT. With a user it answers nobody else.
func serveRegistry(t *testing.T, user, password string) string {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); user != "" && (u != user || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// pushRandom pushes an image and gives its digest.
func pushRandom(t *testing.T, ref string, login authn.Authenticator) string {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithAuth(login)); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// dockerLogins writes a docker configuration with logins, by HOST:PORT.
func dockerLogins(t *testing.T, logins map[string]string) {
	t.Helper()
	var entries []string
	for host, login := range logins {
		entries = append(entries, fmt.Sprintf(`%q: {"auth": %q}`, host, base64.StdEncoding.EncodeToString([]byte(login))))
	}
	folder := t.TempDir()
	t.Setenv("DOCKER_CONFIG", folder)
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(`{"auths": {`+strings.Join(entries, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPrivateImageIsCopiedToTheApp(t *testing.T) {
	const token = "FlyV1 fm2_secret"
	private, own := serveRegistry(t, "me", "secret"), serveRegistry(t, "x", token)
	dockerLogins(t, map[string]string{private: "me:secret"})
	digest := pushRandom(t, private+"/shop:1", &authn.Basic{Username: "me", Password: "secret"})
	b := Builder{App: "shop", Token: token, Prebuilt: private + "/shop:1", registry: own}
	var lines []string
	image, err := b.Build(t.Context(), func(line string) { lines = append(lines, line) })
	if err != nil || !strings.HasPrefix(image, own+"/shop:copy-") {
		t.Fatalf("%q, %v", image, err)
	}
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := remote.Image(ref, remote.WithAuth(&authn.Basic{Username: "x", Password: token}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := copied.Digest(); err != nil || got.String() != digest {
		t.Errorf("%s, %v; want %s", got, err, digest)
	}
	if said := strings.Join(lines, "\n"); !strings.Contains(said, "copying the private image") || strings.Contains(said, "secret") {
		t.Errorf("said %q", said)
	}
}

func TestAnImageThatFlyCanPullIsUsedAsItIs(t *testing.T) {
	open, private := serveRegistry(t, "", ""), serveRegistry(t, "me", "secret")
	pushRandom(t, open+"/shop:1", authn.Anonymous)
	dockerLogins(t, map[string]string{open: "me:secret"}) // a login that is not needed
	for _, image := range []string{open + "/shop:1", private + "/no-login-for-it:1", "registry.fly.io/shop:deployment-1"} {
		if got, err := (Builder{App: "shop", Prebuilt: image}).Build(t.Context(), func(string) {}); err != nil || got != image {
			t.Errorf("%s: %q, %v", image, got, err)
		}
	}
}

func TestImagesThatCannotBeCopied(t *testing.T) {
	private, own := serveRegistry(t, "me", "secret"), serveRegistry(t, "x", "right")
	pushRandom(t, private+"/shop:1", &authn.Basic{Username: "me", Password: "secret"})
	for name, try := range map[string]struct{ image, login, token, problem, says string }{
		"no image's name":  {"UPPER/case", "me:secret", "right", "broken_config", "is not the name of an image"},
		"a login too old":  {private + "/shop:1", "me:older", "right", "private_image", "docker login " + private},
		"no such image":    {private + "/shop:2", "me:secret", "right", "private_image", "check the image's name"},
		"a token too weak": {private + "/shop:1", "me:secret", "wrong", "copy_failed", "may push"},
	} {
		t.Run(name, func(t *testing.T) {
			dockerLogins(t, map[string]string{private: try.login})
			b := Builder{App: "shop", Token: try.token, Prebuilt: try.image, registry: own}
			_, err := b.Build(t.Context(), func(string) {})
			if err == nil || engine.AsProblem(err).Name != try.problem || !strings.Contains(err.Error(), try.says) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v", err)
			}
		})
	}
}
