// Package registry is registry.fly.io on this computer, and what happens to images on both of its sides: a release is
// built and pushed as an image, an image is pulled and unpacked.
package registry

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"flydeploy/fly/local/fault"
)

// Host is the registry's name in the references that clients of the Machines API see.
const Host = "registry.fly.io"

// user is what clients log in as, with a token as the password.
const user = "x"

// Registry is a Docker registry whose blobs lie on disk: two releases would take 50 MB of memory.
type Registry struct {
	folder   string
	address  string
	password string
}

// New makes a registry that keeps its files in a new folder. address is the HOST:PORT at which its handler will be
// served, and password the token that all requests must have.
func New(folder, address, password string) (*Registry, error) {
	r := &Registry{folder: folder, address: address, password: password}
	if err := os.MkdirAll(r.blobs(), 0o700); err != nil {
		return nil, fmt.Errorf("make registry folder: %w", err)
	}
	return r, nil
}

func (r *Registry) blobs() string { return filepath.Join(r.folder, "blobs") }

// Handler answers requests to the registry. The faults meet them first.
func (r *Registry) Handler(faults *fault.Faults) http.Handler {
	silent := log.New(io.Discard, "", 0)
	handler := registry.New(registry.Logger(silent), registry.WithBlobHandler(registry.NewDiskBlobHandler(r.blobs())))
	return faults.Decorate(target, r.requirePassword(handler))
}

// target reads /v2/NAME/manifests/REFERENCE and /v2/NAME/blobs/DIGEST.
func target(r *http.Request) fault.Target {
	met := fault.Target{Service: fault.Registry}
	for _, action := range []string{"manifests", "blobs"} {
		if _, subject, ok := strings.Cut(r.URL.Path, "/"+action+"/"); ok {
			met.Action, met.Subject = action, subject
		}
	}
	return met
}

// NotThereYet is what a mirror of the registry answers that lags behind a push.
func NotThereYet() fault.Effect {
	return fault.Refuse(http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
}

func (r *Registry) requirePassword(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		login, password, _ := request.BasicAuth()
		if login != user || subtle.ConstantTimeCompare([]byte(password), []byte(r.password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(http.StatusUnauthorized)
			// The client may have gone; that is no concern of the server's.
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		next.ServeHTTP(w, request)
	})
}

// local turns a reference to registry.fly.io into one to the place where this registry really is.
func (r *Registry) local(ref string) (name.Reference, error) {
	path, ok := strings.CutPrefix(ref, Host+"/")
	if !ok {
		return nil, fmt.Errorf("image %q: only images of %s are here", ref, Host)
	}
	// With tag and digest the digest decides, as in Docker.
	if repository, digest, ok := strings.Cut(path, "@"); ok {
		repository, _, _ = strings.Cut(repository, ":")
		path = repository + "@" + digest
	}
	return name.ParseReference(r.address+"/"+path, name.StrictValidation, name.Insecure)
}

func (r *Registry) push(ctx context.Context, ref string, image v1.Image) error {
	target, err := r.local(ref)
	if err != nil {
		return err
	}
	return remote.Write(target, image, remote.WithContext(ctx), r.auth())
}

func (r *Registry) pull(ctx context.Context, ref string) (v1.Image, error) {
	source, err := r.local(ref)
	if err != nil {
		return nil, err
	}
	return remote.Image(source, remote.WithContext(ctx), r.auth())
}

func (r *Registry) auth() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: user, Password: r.password})
}
