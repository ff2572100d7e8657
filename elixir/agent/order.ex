defmodule FlyDeployAgent.Order do
  @moduledoc """
  What the console asks for, as it comes: base64 of a URL-encoded form, compressed by zlib. Times are milliseconds, sizes bytes.

  `own` are the pids of the agent and its guardian; `back` – an upgrade is taken back, see `FlyDeployAgent.Back`, and `fresh` are modules whose
  processes start afresh then; `fence`, see `FlyDeployAgent.Fence`; `signed_by`, see `FlyDeployAgent.Package`;
  `apply_config` – the release's configuration is applied, see `FlyDeployAgent.AppConfig`;
  `apply_children` – so are the children of supervisors, see `FlyDeployAgent.AppChildren`;
  `trial_ms`, how long the upgrade is on trial, nil if it is not, see `FlyDeployAgent.OnTrial`.
  """

  @minute 60_000

  @enforce_keys [
    :id,
    :owner,
    :url,
    :sha256,
    :report_url,
    :size,
    :version,
    :source_image,
    :otp_app,
    :cacerts,
    :suspend_ms,
    :migration_ms,
    :max_suspend_ms,
    :skip_busy,
    :staged_ms,
    :armed_ms,
    :terminal_ms
  ]
  defstruct @enforce_keys ++
              [
                fence: nil,
                own: [],
                rehearse: false,
                back: false,
                fresh: [],
                apply_config: false,
                apply_children: nil,
                agent_url: nil,
                agent_sha256: nil,
                signed_by: nil,
                trial_ms: nil
              ]

  @type t :: %__MODULE__{
          id: binary,
          owner: binary,
          url: binary,
          sha256: binary,
          report_url: binary | nil,
          size: non_neg_integer,
          version: binary,
          source_image: binary,
          otp_app: atom,
          cacerts: binary | nil,
          suspend_ms: pos_integer,
          migration_ms: pos_integer,
          max_suspend_ms: pos_integer,
          skip_busy: boolean,
          staged_ms: pos_integer,
          armed_ms: pos_integer,
          terminal_ms: pos_integer,
          fence: binary | nil,
          own: [pid],
          rehearse: boolean,
          back: boolean,
          fresh: [module],
          apply_config: boolean,
          apply_children: FlyDeployAgent.AppChildren.how(),
          agent_url: binary | nil,
          agent_sha256: binary | nil,
          signed_by: binary | nil,
          trial_ms: pos_integer | nil
        }

  @doc "Decodes an order; raises for a form that no console sends."
  @spec decode(binary) :: t
  def decode(encoded) do
    form = encoded |> Base.decode64!() |> :zlib.uncompress() |> URI.decode_query()
    id = Map.fetch!(form, "id")
    true = id =~ ~r/\A[A-Za-z0-9-]{16,80}\z/

    %__MODULE__{
      id: id,
      owner: Map.get(form, "owner", ""),
      fence: Map.get(form, "fence"),
      url: Map.fetch!(form, "url"),
      sha256: Map.fetch!(form, "sha256"),
      report_url: Map.get(form, "report_url"),
      size: form |> Map.fetch!("size") |> String.to_integer(),
      version: Map.get(form, "version", ""),
      source_image: Map.get(form, "source_image", ""),
      otp_app: form |> Map.fetch!("otp_app") |> String.to_atom(),
      cacerts: Map.get(form, "cacerts"),
      suspend_ms: number(form, "suspend_ms", 250),
      migration_ms: number(form, "migration_ms", 1_000),
      max_suspend_ms: number(form, "max_suspend_ms", 2_000),
      skip_busy: Map.get(form, "skip_busy") == "true",
      staged_ms: number(form, "staged_ms", 20 * @minute),
      armed_ms: number(form, "armed_ms", @minute),
      terminal_ms: number(form, "terminal_ms", 10 * @minute),
      rehearse: Map.get(form, "rehearse") == "true",
      back: Map.get(form, "back") == "true",
      fresh: form |> Map.get("fresh", "") |> String.split() |> Enum.flat_map(&module/1),
      apply_config: Map.get(form, "apply_config") == "true",
      apply_children: apply_children(Map.get(form, "apply_children")),
      agent_url: Map.get(form, "agent_url"),
      agent_sha256: Map.get(form, "agent_sha256"),
      signed_by: Map.get(form, "signed_by"),
      trial_ms: number(form, "trial_ms", nil)
    }
  end

  defp apply_children("keep"), do: :keep
  defp apply_children("restart"), do: :restart
  defp apply_children(_none), do: nil

  # As inspect/1 shows it; what is no module that runs starts nothing afresh.
  defp module(":" <> name), do: existing(name)
  defp module(name), do: existing("Elixir." <> name)

  defp existing(name) do
    [String.to_existing_atom(name)]
  rescue
    ArgumentError -> []
  end

  defp number(form, key, default) do
    case Map.fetch(form, key) do
      {:ok, text} -> String.to_integer(text)
      :error -> default
    end
  end
end
