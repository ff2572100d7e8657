//go:build !linux

package isolation

import (
	"errors"

	"flydeploy/fly/local/run"
)

func newNamespaces(run.Folder, int, []Service) (Host, error) {
	return nil, errors.New("machines in namespaces need Linux")
}
