defmodule FlyDeployAgent.Pair do
  @moduledoc """
  Both versions of a module that changes: `old` and `new` are its facts (`FlyDeployAgent.CodeFacts.read/1`, old nil for an added one),
  `old_code` and `new_code` read its code. Where an upgrade is taken back, `new` is the older one, and `down` tells whether the running one's
  `code_change` does something with a state.
  """

  alias FlyDeployAgent.CodeFacts

  # What a behaviour's process calls in any case.
  @callbacks %{
    GenServer => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_server => [init: 1, handle_call: 3, handle_cast: 2],
    :gen_statem => [init: 1, callback_mode: 0],
    :gen_event => [init: 1, handle_event: 2, handle_call: 2],
    :supervisor => [init: 1],
    Supervisor => [init: 1],
    DynamicSupervisor => [init: 1]
  }

  @enforce_keys [:module, :old, :new, :old_code, :new_code]
  defstruct @enforce_keys ++ [down: nil]

  @type t :: %__MODULE__{
          module: module,
          old: CodeFacts.t() | nil,
          new: CodeFacts.t(),
          old_code: (() -> CodeFacts.code()),
          new_code: (() -> CodeFacts.code()),
          down: boolean | nil
        }

  @doc """
  Both versions of what changes, see `FlyDeployAgent.Diff`; nil where the new one cannot be read. `code` reads the code of a `.beam` when it is asked
  for.
  """
  @spec of(map, (Path.t() -> CodeFacts.code())) :: t | nil
  def of(%{source: source, old_file: old_file} = change, code) do
    with {:ok, new} <- facts(source) do
      old = if old_file, do: facts(old_file), else: :error

      %__MODULE__{
        module: new.module,
        old: if(old == :error, do: nil, else: elem(old, 1)),
        new: new,
        old_code: fn -> code.(old_file) end,
        new_code: fn -> code.(source) end,
        down: change[:down]
      }
    else
      :error -> nil
    end
  end

  defp facts(file) do
    with {:ok, beam} <- File.read(file),
         {:ok, facts} <- CodeFacts.read(beam),
         do: {:ok, facts},
         else: (_ -> :error)
  end

  @doc "The fields that a version adds to its module's struct, by module, for those that have both."
  @spec fields_added([t]) :: %{module => [atom]}
  def fields_added(pairs) do
    for %{module: module, old: %{struct: [_ | _] = old}, new: %{struct: [_ | _] = new}} <- pairs,
        new -- old != [],
        into: %{},
        do: {module, new -- old}
  end

  @doc "The code of a version."
  @spec code(t, :old | :new) :: CodeFacts.code()
  def code(pair, :old), do: pair.old_code.()
  def code(pair, :new), do: pair.new_code.()

  @doc "The code of a version of a module, by the pairs of changed modules; nil for other modules, and before a module was there."
  @spec code_of(%{module => t}, :old | :new, module) :: CodeFacts.code() | nil
  def code_of(pairs, version, module) do
    case pairs do
      %{^module => %{old: nil}} when version == :old -> nil
      %{^module => pair} -> code(pair, version)
      %{} -> nil
    end
  end

  @doc "Whether what these functions do differs, with what they call within the module."
  @spec differs?(t, [{atom, arity}]) :: boolean
  def differs?(%{module: module} = pair, roots) do
    [old, new] = for version <- [:old, :new], do: pair |> code(version) |> CodeFacts.reached(module, roots)
    old != new
  end

  @doc "The functions of the new version that start its processes."
  @spec starts(t) :: [{atom, arity}]
  def starts(%{new: %{exports: exports}}), do: for({f, a} <- exports, f in [:start_link, :start], do: {f, a})

  @doc "Whether both versions export this function."
  @spec both?(t, {atom, arity}) :: boolean
  def both?(%{old: old, new: new}, function), do: function in old.exports and function in new.exports

  @doc "The behaviours that a module gave up, with their callbacks that it has no more."
  @spec behaviours_lost(t) :: [{module, [binary]}]
  def behaviours_lost(%{old: old, new: new}) do
    for behaviour <- old.behaviours -- new.behaviours,
        callbacks = Map.get(@callbacks, behaviour, []),
        missing = for({f, a} = callback <- callbacks, callback not in new.exports, do: "#{f}/#{a}"),
        missing != [],
        do: {behaviour, missing}
  end

  @doc "Whether the new version has a `code_change` of this arity that is asked for and does something; where an upgrade is taken back, the running one."
  @spec migrates?(t, 3 | 4) :: boolean
  def migrates?(%{down: down}, _arity) when is_boolean(down), do: down

  def migrates?(%{old: old, new: new} = pair, arity) do
    {:code_change, arity} in new.exports and not same_version?(old, new) and
      (arity == 4 or not CodeFacts.keeps_state?(code(pair, :new)[{:code_change, arity}]))
  end

  # Somebody has written by hand that both versions have the same state.
  defp same_version?(%{vsn: vsn}, %{vsn: vsn}), do: CodeFacts.written?(vsn)
  defp same_version?(_old, _new), do: false
end
