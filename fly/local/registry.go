package local

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// registryHost is the host in the references that clients of the API see.
const registryHost = "registry.fly.io"

// imageRegistry is a Docker registry whose blobs lie on disk: two releases would take 50 MB of memory.
type imageRegistry struct {
	service *service
	auth    authn.Authenticator
}

func startRegistry(ctx context.Context, folder string, tokens tokens, faults *Faults) (*imageRegistry, error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make registry folder: %w", err)
	}
	service, err := listen(ctx)
	if err != nil {
		return nil, err
	}
	silent := log.New(io.Discard, "", 0)
	handler := registry.New(registry.Logger(silent), registry.WithBlobHandler(registry.NewDiskBlobHandler(folder)))
	service.serve(faults.decorate(registryTarget, requireRegistryToken(tokens, handler)))
	auth := &authn.Basic{Username: "x", Password: tokens.deploy}
	return &imageRegistry{service: service, auth: auth}, nil
}

// registryTarget reads /v2/NAME/manifests/REFERENCE and /v2/NAME/blobs/DIGEST.
func registryTarget(r *http.Request) Target {
	target := Target{Service: Registry}
	for _, action := range []string{"manifests", "blobs"} {
		if _, subject, ok := strings.Cut(r.URL.Path, "/"+action+"/"); ok {
			target.Action, target.Subject = action, subject
		}
	}
	return target
}

func requireRegistryToken(tokens tokens, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, token, _ := r.BasicAuth()
		if user != "x" || tokens.power(token) != powerDeploy {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			answer(w, http.StatusUnauthorized, []byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local turns a reference to registry.fly.io into one to this registry.
func (r *imageRegistry) local(ref string) (name.Reference, error) {
	path, ok := strings.CutPrefix(ref, registryHost+"/")
	if !ok {
		return nil, fmt.Errorf("image %q: only images of %s are here", ref, registryHost)
	}
	// With tag and digest the digest decides, as in Docker.
	if repository, digest, ok := strings.Cut(path, "@"); ok {
		repository, _, _ = strings.Cut(repository, ":")
		path = repository + "@" + digest
	}
	return name.ParseReference(r.service.address()+"/"+path, name.StrictValidation, name.Insecure)
}

func (r *imageRegistry) push(ctx context.Context, ref string, image v1.Image) error {
	target, err := r.local(ref)
	if err != nil {
		return err
	}
	return remote.Write(target, image, remote.WithContext(ctx), remote.WithAuth(r.auth))
}

func (r *imageRegistry) pull(ctx context.Context, ref string) (v1.Image, error) {
	source, err := r.local(ref)
	if err != nil {
		return nil, err
	}
	return remote.Image(source, remote.WithContext(ctx), remote.WithAuth(r.auth))
}
