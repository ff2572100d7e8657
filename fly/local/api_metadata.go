package local

import (
	"net/http"
)

type metadataValue struct {
	Value string `json:"value"`
}

func (a *api) metadata(_ *http.Request, m *machine) (any, error) {
	metadata := m.metadata()
	if metadata == nil {
		metadata = map[string]string{}
	}
	return metadata, nil
}

func (a *api) metadataValue(r *http.Request, m *machine) (any, error) {
	value, ok := m.metadata()[r.PathValue("key")]
	if !ok {
		return nil, refuse(http.StatusNotFound, "metadata key not found")
	}
	return metadataValue{Value: value}, nil
}

func (a *api) setMetadata(r *http.Request, m *machine) (any, error) {
	var input metadataValue
	if err := readBody(r, &input); err != nil {
		return nil, err
	}
	m.setMetadata(func(metadata map[string]string) { metadata[r.PathValue("key")] = input.Value })
	return nil, nil
}

func (a *api) deleteMetadata(r *http.Request, m *machine) (any, error) {
	m.setMetadata(func(metadata map[string]string) { delete(metadata, r.PathValue("key")) })
	return nil, nil
}
