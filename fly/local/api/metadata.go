package api

import (
	"net/http"

	"flydeploy/fly/local/machine"
)

type metadataValue struct {
	Value string `json:"value"`
}

func (a *API) metadata(_ *http.Request, m *machine.Machine) (any, error) {
	metadata := m.Snapshot().Config.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return metadata, nil
}

func (a *API) metadataValue(r *http.Request, m *machine.Machine) (any, error) {
	value, ok := m.Snapshot().Config.Metadata[r.PathValue("key")]
	if !ok {
		return nil, refuse(http.StatusNotFound, "metadata key not found")
	}
	return metadataValue{Value: value}, nil
}

func (a *API) setMetadata(r *http.Request, m *machine.Machine) (any, error) {
	var input metadataValue
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	m.SetMetadata(func(metadata map[string]string) { metadata[r.PathValue("key")] = input.Value })
	return nil, nil
}

func (a *API) deleteMetadata(r *http.Request, m *machine.Machine) (any, error) {
	m.SetMetadata(func(metadata map[string]string) { delete(metadata, r.PathValue("key")) })
	return nil, nil
}
