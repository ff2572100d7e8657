defmodule FlyDeployAgent.Beam do
  @moduledoc """
  Reads loaded modules and .beam files.
  """

  @type facts :: %{
          names: [module],
          behaviours: [module],
          code_change: [3 | 4],
          vsn: term,
          nif: boolean,
          template: boolean
        }

  # Whatever has templates names one of these, or exports what Phoenix.Component adds to it.
  @templates [Phoenix.LiveView.Rendered, Phoenix.LiveView.Engine, Phoenix.LiveView.TagEngine]

  @doc "The md5 of a .beam's code, equal to `module_info(:md5)` once it is loaded; nil if it is no .beam."
  @spec md5(binary) :: binary | nil
  def md5(beam) do
    case :code.module_md5(beam) do
      md5 when is_binary(md5) -> md5
      :undefined -> nil
    end
  end

  @doc "The md5 of the code that runs, nil for a module that is not loaded."
  @spec loaded_md5(module) :: binary | nil
  def loaded_md5(module) do
    if :erlang.module_loaded(module), do: module.module_info(:md5)
  end

  @doc "The version that `code_change` gets as the old one, as OTP's release handler determines it."
  @spec vsn(module) :: term
  def vsn(module), do: version(module.module_info(:attributes))

  defp version(attributes) do
    case attributes[:vsn] do
      [vsn] -> vsn
      other -> other
    end
  end

  @doc "The behaviours that a loaded module declares."
  @spec behaviours(module) :: [module]
  def behaviours(module), do: declared(module.module_info(:attributes))

  @doc """
  What the plan must know of a new .beam: which of `modules` it names, its behaviours, whether it takes part in code changes
  (`code_change` of 3 or 4 arguments), its version, whether it loads native code, and whether it has templates.
  """
  @spec facts(binary, %{module => term}) :: {:ok, facts} | :error
  def facts(beam, modules \\ %{}) do
    case :beam_lib.chunks(beam, [:atoms, :imports, :exports, :attributes]) do
      {:ok, {_module, [atoms: atoms, imports: imports, exports: exports, attributes: attributes]}} ->
        {:ok,
         %{
           names: for({_, atom} <- atoms, is_map_key(modules, atom), do: atom),
           behaviours: declared(attributes),
           code_change: for({:code_change, arity} <- exports, arity in [3, 4], do: arity),
           vsn: version(attributes),
           nif: {:erlang, :load_nif, 2} in imports,
           template: {:__components__, 0} in exports or Enum.any?(atoms, &(elem(&1, 1) in @templates))
         }}

      {:error, :beam_lib, _} ->
        :error
    end
  end

  defp declared(attributes) do
    for {key, modules} <- attributes, key in [:behaviour, :behavior], module <- modules, do: module
  end
end
